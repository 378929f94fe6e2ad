"""What serves a version: by its manifest, or by what lies in a folder; and signatures that another backend has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from serving.backends import lazy
from serving.backends.base import Array, Backend, RunError, parts_of
from serving.backends.choose import choose, load
from serving.backends.folders import load_folder, look
from serving.backends.lazy import LazyBackend
from serving.options import BackendChoice
from serving.signature import ModelSignature, Tensor
from skylift.artifacts.records import Format, ModelManifest, OtherSignature, Parity, Signature, now
from skylift.artifacts.records import TensorSpec as Spec
from skylift.errors import DeployError
from tests.serving import onnx_models
from tests.serving.backends.v2_endpoint import write

HOLDS = Parity(max_abs_difference=0.0, rows=1, tolerance=1e-4, holds=True)
DIFFERS = Parity(max_abs_difference=1.0, rows=1, tolerance=1e-4, holds=False)
ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


def manifest(signatures: dict[str, OtherSignature] | None = None, **formats: Format) -> ModelManifest:
    signature = Signature(inputs=[_spec("x")], outputs=[_spec("y")])
    return ModelManifest(
        name="m",
        created=now(),
        by="t",
        signature=signature,
        signatures=signatures or {},
        formats=formats,  # type: ignore[arg-type]
        files=[],
    )


def _spec(name: str, dtype: str = "float32", shape: Sequence[int | None] = (None, 3)) -> Spec:
    return Spec(name=name, dtype=dtype, shape=list(shape))


class TestForms:
    @pytest.mark.parametrize(
        ("choice", "onnx", "saved", "tflite", "expected"),
        [
            ("auto", HOLDS, True, HOLDS, "onnx"),
            ("auto", DIFFERS, True, HOLDS, "tensorflow"),
            ("auto", DIFFERS, False, HOLDS, "tflite"),
            ("tflite", HOLDS, True, DIFFERS, "tflite"),
        ],
    )
    def test_tflite_is_the_last_of_those_that_hold(
        self, choice: BackendChoice, onnx: Parity, saved: bool, tflite: Parity, expected: str
    ) -> None:
        formats = {"onnx": Format(path="a", parity=onnx), "tflite": Format(path="c", parity=tflite)}
        if saved:
            formats["saved_model"] = Format(path="b")
        assert choose(manifest(**formats), choice)[0] == expected

    def test_a_tflite_file_that_was_never_compared_is_served_where_it_is_all_there_is(self) -> None:
        alone = manifest(tflite=Format(path="model.tflite"))
        assert choose(alone, "auto") == ("tflite", "model.tflite")
        with pytest.raises(DeployError, match="no form that backend 'auto'"):
            choose(manifest(tflite=Format(path="model.tflite", parity=DIFFERS)), "auto")

    def test_it_is_loaded_under_the_manifests_names(self, stored: Path) -> None:
        plus = stored / "named"
        backend = load(manifest(tflite=Format(path="plus.tflite", parity=HOLDS)), plus, "auto", 1)
        np.testing.assert_array_equal(backend.run("serving_default", {"x": ROWS})["y"], ROWS + 1)
        assert (backend.name, backend.platform) == ("tflite", "tflite")


class TestFolders:
    def test_the_saved_model_stands_before_what_nobody_has_compared(self, stored: Path, tmp_path: Path) -> None:
        shutil.copytree(stored / "several", tmp_path / "1")
        write(tmp_path / "1", onnx_models.scale(7))
        facts, backend = load_folder(tmp_path / "1", "auto", 1)
        assert (facts.form, backend.platform) == ("saved_model", "tensorflow_savedmodel")
        assert facts.bytes > 10_000
        facts, backend = load_folder(tmp_path / "1", "onnx", 1)
        np.testing.assert_array_equal(backend.run("serving_default", {"x": ROWS})["y"], 7 * ROWS)

    def test_the_only_file_of_a_kind_may_have_any_name(self, stored: Path) -> None:
        facts, backend = load_folder(stored / "named", "auto", 1)
        assert facts.path.name == "plus.tflite"
        assert backend.signatures.keys() == {"plus"}

    def test_several_without_the_usual_name_are_refused(self, tmp_path: Path) -> None:
        for name in ("a.onnx", "b.onnx"):
            (tmp_path / name).write_bytes(onnx_models.scale(1))
        with pytest.raises(DeployError, match=r"a\.onnx, b\.onnx: which of them"):
            look(tmp_path)

    @pytest.mark.parametrize("choice", ["auto", "tensorflow"])
    def test_nothing_that_can_be_served(self, tmp_path: Path, choice: BackendChoice) -> None:
        (tmp_path / "notes.txt").write_text("nothing")
        if choice == "tensorflow":
            write(tmp_path, onnx_models.scale(1))
        with pytest.raises(DeployError, match=f"nothing that backend '{choice}' can serve"):
            look(tmp_path, choice)


class TestExplainBesideOnnx:
    def version(self, stored: Path, folder: Path) -> tuple[ModelManifest, Path]:
        shutil.copytree(stored / "several", folder / "saved_model")
        write(folder, onnx_models.scale(2))
        length = OtherSignature(
            inputs=[_spec("text", "string", [None])],
            outputs=[_spec("size", "int32", [None]), _spec("raw_bytes", "string", [None])],
            parity=HOLDS,
        )
        forms = {"onnx": Format(path="model.onnx", parity=HOLDS), "saved_model": Format(path="saved_model")}
        return manifest({"length": length}, **forms), folder

    def test_tensorflow_answers_it_and_is_loaded_when_it_is_first_asked(self, stored: Path, tmp_path: Path) -> None:
        backend = load(*self.version(stored, tmp_path), "auto", 1)
        parts = parts_of(backend)
        assert (backend.name, backend.platform) == ("onnx", "onnxruntime_onnx")
        assert backend.signatures.keys() == parts.keys() == {"serving_default", "length"}
        assert parts["length"] is not parts["serving_default"]
        np.testing.assert_array_equal(backend.run("serving_default", {"x": ROWS})["y"], 2 * ROWS)
        late = parts["length"]
        assert isinstance(late, LazyBackend) and not late.is_loaded
        assert late.run("length", {"text": np.array([b"four"], dtype=object)})["size"].tolist() == [4]
        assert late.is_loaded
        backend.close()
        assert not late.is_loaded

    def test_predictions_alone_import_no_tensorflow(self, stored: Path, tmp_path: Path) -> None:
        _, folder = self.version(stored, tmp_path)
        program = f"""
import sys, numpy as np
from pathlib import Path
from serving.backends.warm import warm
from tests.serving.backends.test_choices import HOLDS, Format, load, manifest, OtherSignature, _spec
other = OtherSignature(inputs=[_spec("text", "string", [None])], outputs=[_spec("size", "int32", [None])], parity=HOLDS)
forms = {{"onnx": Format(path="model.onnx", parity=HOLDS), "saved_model": Format(path="saved_model")}}
backend = load(manifest({{"length": other}}, **forms), Path({str(folder)!r}), "auto", 1)
warm(backend, 8)
backend.run("serving_default", {{"x": np.ones((1, 3), np.float32)}})
assert "tensorflow" not in sys.modules
"""
        subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[3])


class TestOnDemand:
    SIGNATURES: Mapping[str, ModelSignature] = {"explain": ModelSignature((Tensor("x", "float32", (None,)),), ())}

    def test_a_load_that_fails_is_told_and_tried_again_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tries = []

        def fail() -> Backend:
            tries.append(1)
            raise DeployError("the file is gone")

        backend = LazyBackend("tensorflow", "tensorflow_savedmodel", self.SIGNATURES, fail)
        for _ in range(3):
            with pytest.raises(RunError, match="explain cannot be loaded: the file is gone") as refused:
                backend.run("explain", {})
            assert refused.value.cause == "unavailable" and refused.value.retry_after
        assert len(tries) == 1
        monkeypatch.setattr(lazy, "AGAIN_SECONDS", 0.0)
        with pytest.raises(RunError):
            backend.run("explain", {})
        assert len(tries) == 2

    def test_what_it_loads_is_closed_with_it(self) -> None:
        closed = []

        class Loaded:
            def run(self, *given: object, **more: object) -> dict[str, Array]:
                return {}

            def close(self) -> None:
                closed.append(1)

        backend = LazyBackend("t", "t", self.SIGNATURES, lambda: Loaded())  # type: ignore[arg-type,return-value]
        backend.close()
        backend.run("explain", {})
        backend.close()
        assert closed == [1]
