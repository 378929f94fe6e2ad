"""SavedModels as TensorFlow serves them, ours and those of other people."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from serving.backends import tensorflow as backends
from serving.backends.base import RunError
from serving.backends.tensorflow import TensorFlowBackend
from serving.interface import CLASSIFY, PREDICT, REGRESS
from serving.signature import ModelSignature, Tensor
from skylift.errors import DeployError

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


def example(x: float) -> bytes:
    import tensorflow as tf

    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[x]))
    return bytes(tf.train.Example(features=tf.train.Features(feature={"x": feature})).SerializeToString())


def texts(*values: bytes) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    return np.array(values, dtype=object)


class TestSignatures:
    def test_several_with_strings(self, stored: Path) -> None:
        backend = TensorFlowBackend(stored / "several", 1, None)
        assert backend.signatures.keys() == {"serving_default", "length"}
        given = backend.run("length", {"text": texts(b"four", b"\xff")})
        assert given["size"].tolist() == [4, 1]
        assert given["raw_bytes"].tolist() == [b"four", b"\xff"]

    def test_only_wanted_outputs_are_fetched(self, stored: Path) -> None:
        backend = TensorFlowBackend(stored / "several", 1, None)
        assert backend.run("serving_default", {"x": ROWS}).keys() == {"y", "z"}
        given = backend.run("serving_default", {"x": ROWS}, ["z"])
        assert given.keys() == {"z"}
        np.testing.assert_array_equal(given["z"], ROWS + 1)

    def test_serving_default_may_be_missing(self, stored: Path) -> None:
        backend = TensorFlowBackend(stored / "without", 1, None)
        assert backend.signatures.keys() == {"plus"}
        np.testing.assert_array_equal(backend.run("plus", {"x": ROWS})["y"], ROWS + 1)

    def test_an_input_with_a_default_may_be_left_out(self, stored: Path) -> None:
        backend = TensorFlowBackend(stored / "odd", 1, None)
        assert backend.defaults["power"]["power"] == 3
        assert backend.run("power", {"x": np.float32([2])})["y"].tolist() == [8]
        assert backend.run("power", {"x": np.float32([2]), "power": np.float32(2)})["y"].tolist() == [4]

    def test_those_of_tensorflow_1_with_their_methods(self, stored: Path) -> None:
        backend = TensorFlowBackend(stored / "one", 1, None)
        assert backend.methods == {"regress": REGRESS, "classify": CLASSIFY, "predict": PREDICT}
        examples = {"inputs": texts(example(3), example(0.25))}
        assert backend.run("regress", examples)["outputs"].tolist() == [[6], [0.5]]
        classified = backend.run("classify", examples)
        assert classified["scores"].tolist() == [[-5, 6], [0.5, 0.5]]
        assert classified["classes"].tolist() == [[b"low", b"high"]] * 2
        assert backend.run("predict", {"x": np.float32([[1]])})["y"].tolist() == [[2]]


class TestShortCall:
    def test_it_gives_what_the_public_one_gives(self, stored: Path) -> None:
        backend = TensorFlowBackend(stored / "several", 1, None)
        function = backend._functions["serving_default"]
        assert function._order == ["x"], "this TensorFlow has no short way any more"
        short = backend.run("serving_default", {"x": ROWS})
        function._order = None
        public = backend.run("serving_default", {"x": ROWS})
        assert {name: value.tolist() for name, value in short.items()} == {
            name: value.tolist() for name, value in public.items()
        }

    def test_a_tensorflow_whose_short_call_gives_something_else_is_called_the_public_way(self, stored: Path) -> None:
        backend = TensorFlowBackend(stored / "several", 1, None)
        function = backend._functions["serving_default"]

        class Changed:
            captured_inputs: tuple[()] = ()

            def _call_flat(self, *given: object) -> list[object]:
                return []

            def __call__(self, **named: object) -> object:
                return real(**named)

        real, function._function = function._function, Changed()
        for _ in range(2):
            np.testing.assert_array_equal(backend.run("serving_default", {"x": ROWS})["y"], 2 * ROWS)

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ({"x": np.zeros((2, 4), np.float32)}, r"is float32 \[2, 4\], expected float32 \[\?,3\]"),
            ({"x": np.zeros((2, 3))}, "is float64"),
            ({}, "expected x"),
            ({"x": ROWS, "more": ROWS}, "inputs are x, more, expected x"),
        ],
    )
    def test_what_it_would_compute_wrongly_is_refused(
        self, stored: Path, wrong: dict[str, backends.Array], says: str
    ) -> None:
        backend = TensorFlowBackend(stored / "several", 1, None)
        with pytest.raises(RunError, match=says) as refused:
            backend.run("serving_default", wrong)
        assert refused.value.is_callers_fault

    def test_what_the_graph_itself_refuses(self, stored: Path) -> None:
        backend = TensorFlowBackend(stored / "odd", 1, None)
        with pytest.raises(RunError) as refused:
            backend.run("serving_default", {"x": np.int32([1, -1])})
        assert refused.value.is_callers_fault
        assert backend.run("serving_default", {"x": np.int32([1, 2])})["y"].tolist() == [1, 2]


class TestRefuses:
    def test_tags_that_it_does_not_have(self, stored: Path) -> None:
        with pytest.raises(DeployError, match="no graph with the tags serve, gpu, only with: serve"):
            TensorFlowBackend(stored / "several", 1, None, tags=("serve", "gpu"))

    def test_a_damaged_file(self, stored: Path, tmp_path: Path) -> None:
        shutil.copytree(stored / "several", tmp_path / "damaged")
        (tmp_path / "damaged" / "saved_model.pb").write_bytes(b"\xff\xff\xff no graph")
        with pytest.raises(DeployError, match="cannot be read"):
            TensorFlowBackend(tmp_path / "damaged", 1, None)

    def test_variables_that_are_missing(self, stored: Path, tmp_path: Path) -> None:
        shutil.copytree(stored / "several", tmp_path / "damaged")
        shutil.rmtree(tmp_path / "damaged" / "variables")
        with pytest.raises(DeployError, match="cannot load the SavedModel"):
            TensorFlowBackend(tmp_path / "damaged", 1, None)

    def test_signatures_that_the_manifest_promises_and_it_lacks(self, stored: Path) -> None:
        with pytest.raises(DeployError, match="no signature 'serving_default'"):
            TensorFlowBackend(stored / "without", 1, ModelSignature((), ()))
        with pytest.raises(DeployError, match="no signature explain"):
            TensorFlowBackend(stored / "several", 1, None, only=("length", "explain"))
        promised = ModelSignature((Tensor("x", "int32", (None, 3)),), ())
        with pytest.raises(DeployError, match=r"the manifest promises \{'x': 'int32'\}"):
            TensorFlowBackend(stored / "several", 1, promised)
