"""`:explain` at a whole server: predictions by ONNX Runtime, explanations by TensorFlow beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from skylift.artifacts import models
from skylift.artifacts.records import (
    Format,
    ModelManifest,
    ModelRef,
    OtherSignature,
    Parity,
    Signature,
    TensorSpec,
    now,
)
from tests.serving import onnx_models
from tests.serving.conftest import Bench
from tests.serving.whole import ROWS

ROW = [TensorSpec(name="x", dtype="float32", shape=[None, 3])]
HOLDS = Parity(max_abs_difference=0.0, rows=1, tolerance=1e-4, holds=True)


@pytest.mark.slow
def test_a_model_says_what_its_predictions_go_by(bench: Bench) -> None:
    folder = bench.folder / "explained"
    folder.mkdir()
    program = Path(__file__).with_name("make_explained.py")
    subprocess.run([sys.executable, "-P", str(program), str(folder / "saved_model")], check=True, capture_output=True)
    (folder / "model.onnx").write_bytes(onnx_models.scale(2))
    told = [
        TensorSpec(name="attributions", dtype="float32", shape=[None, 3]),
        TensorSpec(name="explained", dtype="int32", shape=[None]),
    ]
    manifest = ModelManifest(
        name="scale",
        created=now(),
        by="test",
        signature=Signature(inputs=ROW, outputs=[TensorSpec(name="y", dtype="float32", shape=[None, 3])]),
        signatures={"explain": OtherSignature(inputs=ROW, outputs=told, parity=HOLDS)},
        formats={
            "onnx": Format(path="model.onnx", parity=HOLDS),
            "saved_model": Format(path="saved_model", parity=HOLDS),
        },
        files=[],
    )
    published = models.publish(bench.keep, "scale", folder, manifest)
    bench.deploy(ModelRef(name="scale", version=published.version, digest=published.digest))
    server = bench.start("--request-seconds", "120")
    server.wait_ready()
    assert server.predict(ROWS).json() == {"predictions": [[2.0, 4.0, 6.0]]}
    answer = server.ask("POST", "/v1/models/scale:explain", {"instances": ROWS}, timeout=120)
    assert answer.json() == {"predictions": [{"attributions": [0.5, 1.0, 1.5], "explained": 0}]}
    assert (
        "explain" in server.ask("GET", "/v1/models/scale/metadata").json()["metadata"]["signature_def"]["signature_def"]
    )
    assert "/v1/models/scale:explain" in server.ask("GET", "/openapi.json").json()["paths"]
    page = server.ask("GET", "/metrics").body.decode()
    assert 'api="explain"' in page
