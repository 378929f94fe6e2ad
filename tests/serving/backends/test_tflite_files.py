"""TFLite files as LiteRT serves them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serving.backends.base import RunError
from serving.backends.tflite import TFLiteBackend
from serving.signature import ModelSignature, Tensor
from skylift.errors import DeployError

WEIGHTS = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
ROWS = np.random.default_rng(1).uniform(-1, 1, (33, 3)).astype(np.float32)
PROMISED = ModelSignature((Tensor("pixels", "float32", (None, 3)),), (Tensor("score", "float32", (None, 4)),))


def load(stored: Path, name: str, wanted: ModelSignature | None = None) -> TFLiteBackend:
    return TFLiteBackend(stored / name / "model.tflite", 1, wanted)


class TestComputes:
    def test_any_number_of_rows_one_after_the_other(self, stored: Path) -> None:
        backend = load(stored, "float")
        for rows in (1, 33, 2, 33, 0, 1):
            given = backend.run("serving_default", {"x": ROWS[:rows]})["y"]
            np.testing.assert_allclose(given, ROWS[:rows] @ WEIGHTS, atol=1e-6)

    def test_an_answer_stays_when_the_next_is_computed(self, stored: Path) -> None:
        backend = load(stored, "float")
        first = backend.run("serving_default", {"x": ROWS[:2]})["y"]
        kept = first.copy()
        backend.run("serving_default", {"x": ROWS[2:4]})
        np.testing.assert_array_equal(first, kept)

    def test_a_file_without_a_signature_by_its_own_names_and_by_the_manifests(self, stored: Path) -> None:
        bare = load(stored, "bare")
        assert [tensor.name for tensor in bare.signatures["serving_default"].inputs] == ["x"]
        for rows in (1, 5):
            given = load(stored, "bare", PROMISED).run("serving_default", {"pixels": ROWS[:rows]})["score"]
            np.testing.assert_allclose(given, ROWS[:rows] @ WEIGHTS, atol=1e-6)

    def test_only_what_is_wanted(self, stored: Path) -> None:
        assert load(stored, "float").run("serving_default", {"x": ROWS}, ["y"]).keys() == {"y"}


class TestQuantised:
    def test_integers_are_taken_and_given_as_the_file_says(self, stored: Path) -> None:
        backend = load(stored, "int8")
        signature = backend.signatures["serving_default"]
        assert [tensor.dtype for tensor in (*signature.inputs, *signature.outputs)] == ["int8", "int8"]
        assert backend.run("serving_default", {"x": np.zeros((2, 3), np.int8)})["y"].dtype == np.int8

    def test_numbers_are_converted_where_the_manifest_promises_numbers(self, stored: Path) -> None:
        given = load(stored, "int8", PROMISED).run("serving_default", {"pixels": ROWS})["score"]
        assert given.dtype == np.float32
        np.testing.assert_allclose(given, ROWS @ WEIGHTS, atol=0.05)

    def test_numbers_beyond_its_range_are_its_ends(self, stored: Path) -> None:
        backend = load(stored, "int8", PROMISED)
        far = backend.run("serving_default", {"pixels": np.full((1, 3), 100, np.float32)})["score"]
        end = backend.run("serving_default", {"pixels": np.full((1, 3), 1.2, np.float32)})["score"]
        np.testing.assert_array_equal(far, end)


class TestRefuses:
    @pytest.mark.parametrize(
        ("name", "says"),
        [("strings", "input text of model.tflite holds strings"), ("custom", "custom op: StringLength")],
    )
    def test_what_it_cannot_serve_is_said_at_the_load(self, stored: Path, name: str, says: str) -> None:
        with pytest.raises(DeployError, match=says):
            load(stored, name)

    def test_another_type_than_promised(self, stored: Path) -> None:
        wanted = ModelSignature((Tensor("x", "int32", (None, 3)),), (Tensor("y", "float32", (None, 4)),))
        with pytest.raises(DeployError, match="'x' of the file is float32, the manifest promises int32"):
            load(stored, "float", wanted)

    def test_a_damaged_file(self, stored: Path, tmp_path: Path) -> None:
        whole = (stored / "float" / "model.tflite").read_bytes()
        (tmp_path / "model.tflite").write_bytes(whole[:100])
        with pytest.raises(DeployError, match=r"LiteRT cannot load model\.tflite"):
            TFLiteBackend(tmp_path / "model.tflite", 1, None)

    @pytest.mark.parametrize("wrong", [np.zeros((2, 4), np.float32), np.zeros((2, 3)), np.zeros(3, np.float32)])
    def test_wrong_input_is_the_callers_fault_and_the_next_is_answered(
        self, stored: Path, wrong: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    ) -> None:
        backend = load(stored, "float")
        with pytest.raises(RunError, match='input "x" is') as refused:
            backend.run("serving_default", {"x": wrong})
        assert refused.value.is_callers_fault
        assert len(backend.run("serving_default", {"x": ROWS})["y"]) == len(ROWS)
