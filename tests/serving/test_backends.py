"""Which form of a version is served, and by what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from serving.backends.base import Array, RunError
from serving.backends.choose import choose
from serving.backends.onnx import OnnxBackend
from serving.backends.warm import warm
from serving.options import BackendChoice
from serving.signature import ModelSignature, Tensor
from skylift.artifacts import models
from skylift.artifacts.records import Format, ModelManifest, ModelRef, Parity, Signature, now
from skylift.artifacts.records import TensorSpec as Spec
from skylift.errors import DeployError
from tests.serving import onnx_models
from tests.serving.conftest import Bench

HOLDS = Parity(max_abs_difference=0.0, rows=1, tolerance=1e-4, holds=True)
DIFFERS = Parity(max_abs_difference=1.0, rows=1, tolerance=1e-4, holds=False)


def manifest(**formats: Format) -> ModelManifest:
    spec = [Spec(name="x", dtype="float32", shape=[None, 3])]
    signature = Signature(inputs=spec, outputs=[Spec(name="y", dtype="float32", shape=[None, 3])])
    return ModelManifest(name="m", created=now(), by="t", signature=signature, formats=formats, files=[])  # type: ignore[arg-type]


class TestChoose:
    @pytest.mark.parametrize(
        ("choice", "onnx", "saved", "expected"),
        [
            ("auto", HOLDS, True, "onnx"),
            ("auto", DIFFERS, True, "tensorflow"),
            ("auto", None, True, "tensorflow"),
            ("auto", None, False, "onnx"),
            ("onnx", DIFFERS, True, "onnx"),
            ("tensorflow", HOLDS, True, "tensorflow"),
        ],
    )
    def test_by_parity_and_wish(self, choice: BackendChoice, onnx: Parity | None, saved: bool, expected: str) -> None:
        formats = {"onnx": Format(path="model.onnx", parity=onnx)}
        if saved:
            formats["saved_model"] = Format(path="saved_model")
        assert choose(manifest(**formats), choice)[0] == expected

    @pytest.mark.parametrize(
        ("choice", "formats"),
        [
            ("tensorflow", {"onnx": Format(path="model.onnx", parity=HOLDS)}),
            ("onnx", {"saved_model": Format(path="saved_model")}),
            ("auto", {"keras": Format(path="model.keras")}),
            ("auto", {"onnx": Format(path="model.onnx", parity=DIFFERS)}),
        ],
    )
    def test_what_cannot_be_served_is_refused(self, choice: BackendChoice, formats: dict[str, Format]) -> None:
        with pytest.raises(DeployError, match="no form that backend"):
            choose(manifest(**formats), choice)


class TestOnnx:
    def wanted(self, x: str, y: str, dtype: str = "float32") -> ModelSignature:
        return ModelSignature((Tensor(x, dtype, (None, 3)),), (Tensor(y, dtype, (None, 3)),))

    def load(self, folder: Path, wanted: ModelSignature) -> OnnxBackend:
        (folder / "m.onnx").write_bytes(onnx_models.scale(2))
        return OnnxBackend(folder / "m.onnx", 1, wanted)

    def test_the_manifests_names_stand_for_the_files(self, tmp_path: Path) -> None:
        backend = self.load(tmp_path, self.wanted("pixels", "digit"))
        result = backend.run("serving_default", {"pixels": np.ones((1, 3), np.float32)})
        np.testing.assert_array_equal(result["digit"], [[2, 2, 2]])

    def test_another_type_than_promised_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DeployError, match="the manifest promises int32"):
            self.load(tmp_path, self.wanted("x", "y", "int32"))

    def test_a_wrong_shape_is_the_callers_fault(self, tmp_path: Path) -> None:
        backend = self.load(tmp_path, self.wanted("x", "y"))
        with pytest.raises(RunError) as refused:
            backend.run("serving_default", {"x": np.ones((1, 4), np.float32)})
        assert refused.value.is_callers_fault

    def test_warming_refuses_a_model_that_cannot_compute_its_signature(self) -> None:
        class Broken:
            name = "broken"
            concurrency = 1
            signatures = {"serving_default": ModelSignature((Tensor("x", "float32", (None, 3)),), ())}

            def run(self, signature: str, inputs: dict[str, Array], *_: object, **__: object) -> dict[str, Array]:
                raise RunError("no", is_callers_fault=False)

            def close(self) -> None: ...

        with pytest.raises(DeployError, match="fails on 1 rows"):
            warm(Broken(), 4)  # type: ignore[arg-type]


SAVE = """
import sys, tensorflow as tf
class Model(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    def scale(self, x): return {"y": 2 * x}
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def length(self, text): return {"size": tf.strings.length(text), "raw_bytes": text}
model = Model()
tf.saved_model.save(model, sys.argv[1], {"serving_default": model.scale, "length": model.length})
"""


@pytest.mark.slow
class TestTensorFlow:
    def publish(self, bench: Bench) -> ModelRef:
        folder = bench.folder / "tf"
        subprocess.run([sys.executable, "-c", SAVE, str(folder / "saved_model")], check=True, capture_output=True)
        published = models.publish(bench.keep, "scale", folder, manifest(saved_model=Format(path="saved_model")))
        return ModelRef(name=published.name, version=published.version, digest=published.digest)

    def test_a_saved_model_is_served_with_all_its_signatures(self, bench: Bench) -> None:
        bench.deploy(self.publish(bench))
        server = bench.start()
        server.wait_ready(120)
        assert server.predict([[1, 2, 3]]).json() == {"predictions": [[2.0, 4.0, 6.0]]}
        report = bench.wait_report(lambda report: report.serving == 1)
        assert report.backend == "tensorflow"
        named = {"signature_name": "length", "instances": ["four", {"b64": "/w=="}]}
        answer = server.ask("POST", "/v1/models/scale:predict", named)
        assert answer.json() == {
            "predictions": [{"size": 4, "raw_bytes": {"b64": "Zm91cg=="}}, {"size": 1, "raw_bytes": {"b64": "/w=="}}]
        }
        wrong = server.ask("POST", "/v1/models/scale:predict", {"instances": [["a", "b", "c"]]})
        assert wrong.status == 400
        signatures = server.ask("GET", "/v1/models/scale/metadata").json()["metadata"]["signature_def"]["signature_def"]
        assert signatures.keys() == {"serving_default", "length"}

    def test_it_switches_to_onnx_and_back_without_an_end(self, bench: Bench) -> None:
        bench.deploy(self.publish(bench))
        server = bench.start()
        server.wait_ready(120)
        bench.deploy(bench.publish_scale(3))
        assert bench.wait_report(lambda report: report.serving == 2).backend == "onnx"
        assert server.predict([[1, 2, 3]]).json() == {"predictions": [[3.0, 6.0, 9.0]]}
