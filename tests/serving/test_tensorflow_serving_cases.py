"""The published request and response cases of TensorFlow Serving's REST interface, against our routes and real ONNX models."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from onnx import TensorProto

from serving.backends.base import Array
from serving.http.messages import Response
from serving.interface import CLASSIFY, REGRESS
from serving.signature import ModelSignature, Tensor
from tests.serving import onnx_models as models
from tests.serving.app import App, of_onnx

CASES = Path(os.environ.get("SKYLIFT_TFS_CASES", Path(__file__).parents[3] / "shared" / "data" / "tfs_rest_cases.json"))

OUT_OF_SCOPE = {
    "out_float_text": "the same numbers in shorter or longer text: ours is the shortest that reads back equal",
    "err_queue_full": "429 queue_full with Retry-After, tested in test_batching",
    "metrics": "the supervisor answers it for all workers: see test_metrics_route",
    "metrics_wrong_model_counted": "as above",
}
"""Tested elsewhere, or answered differently on purpose."""


def _cases() -> list[Any]:
    if not CASES.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{CASES.name} is not beside this checkout"))]
    found = json.loads(CASES.read_text())["cases"]
    return [pytest.param(case, id=case["id"]) for case in found if case["id"] not in OUT_OF_SCOPE]


def _app(case: dict[str, Any], folder: Path) -> App:
    path = folder / "model.onnx"
    one, out = [("default", "float32")], [("y", "float32")]
    special = {
        "out_row_inconsistent_batch": (models.uneven_outputs(), [("x", "int32")], [("a", "float32"), ("b", "int32")]),
        "out_row_scalar_output": (models.fixed_output(np.float32(1)), one, out),
        "out_row_zero_batch": (models.fixed_output(np.zeros((0, 2), np.float32)), one, out),
        "out_bytes_suffix": (_bytes_output(), [("default", "string")], [("y_bytes", "string")]),
    }
    fixtures = {
        "hp2": (models.half_plus_two(), [("x", "float32")], out),
        "i32": (models.identity(TensorProto.INT32), [("default", "int32")], [("y", "int32")]),
        "f32": (models.identity(TensorProto.FLOAT), one, out),
        "f16": (models.identity(TensorProto.FLOAT16), [("default", "float16")], [("y", "float16")]),
        "str": (models.identity(TensorProto.STRING), [("default", "string")], [("y", "string")]),
        "is": (
            models.two_inputs(),
            [("int_tensor", "int32"), ("str_tensor", "string")],
            [("i", "int32"), ("s", "string")],
        ),
        "out2": (models.two_outputs(), [("x", "int32")], [("a", "float32"), ("b", "int32")]),
    }
    app = of_onnx(path, *(special.get(case["id"]) or fixtures[case["fixture"]]))
    if case["fixture"] == "hp2":
        app.backend = HalfPlusTwo(app.backend)
    return app


class HalfPlusTwo:
    """The original's test model: half_plus_two with signatures for regress and classify."""

    name = "onnx"
    methods: ClassVar = {"regress_x_to_y": REGRESS, "classify_x_to_y": CLASSIFY}

    def __init__(self, inner: Any) -> None:
        self.inner, self.inputs, self.close = inner, inner.inputs, inner.close
        self.platform, self.defaults, self.concurrency = inner.platform, inner.defaults, inner.concurrency
        column = Tensor("x", "float32", (None, 1))
        self.signatures = {
            **inner.signatures,
            "regress_x_to_y": ModelSignature((column,), (Tensor("outputs", "float32", (None, 1)),)),
            "classify_x_to_y": ModelSignature((column,), (Tensor("scores", "float32", (None, 1)),)),
        }

    def run(self, signature: str, inputs: Mapping[str, Array], outputs: Any = (), **_: Any) -> dict[str, Array]:
        (value,) = self.inner.run("serving_default", inputs).values()
        (output,) = self.signatures[signature].outputs
        return {output.name: value}


def _bytes_output() -> bytes:
    values = models.helper.make_tensor("v", TensorProto.STRING, [1, 2], [b"hello", b"world"])
    return models.model(
        [models.helper.make_node("Constant", [], ["y_bytes"], value=values)],
        [models.value("default", TensorProto.STRING, None)],
        [models.value("y_bytes", TensorProto.STRING, None)],
    )


@pytest.mark.parametrize("case", _cases())
def test_answers_as_the_original(case: dict[str, Any], tmp_path: Path) -> None:
    request, expected = case["request"], case["response"]
    app = _app(case, tmp_path)
    answer = app.ask(
        request["method"], request["path"], request["body"] or "", case.get("request_headers") or request.get("headers")
    )
    assert answer.status == expected["status"], answer.body
    _compare(answer, expected, app)


def _compare(answer: Response, expected: dict[str, Any], app: App) -> None:
    how, body = expected["match"], expected["body"]
    if how == "json_equal":
        assert json.loads(answer.body) == body
    elif how == "json_subset":
        assert body.items() <= json.loads(answer.body).items()
    elif how.startswith("contains"):
        wanted = how.partition(":")[2] or body
        assert wanted in json.loads(answer.body)["error"]
    elif how == "tokens":
        assert "".join(body.split()) in "".join(answer.body.decode().split())
    elif how == "empty_body":
        assert answer.body == b""
    elif how == "input_tensor":
        _compare_input(app, body)
    elif how == "shape_of":
        assert json.loads(answer.body) == body
    else:
        assert how == "status_only"


def _compare_input(app: App, body: dict[str, Any]) -> None:
    (array,) = app.backend.inputs[-1].values()
    if "decoded_input" in body:
        assert [item.decode() for item in array.ravel()] == body["decoded_input"]
    if "decoded_input_shape" in body:
        assert list(array.shape) == body["decoded_input_shape"]


def test_what_is_left_out_is_named_in_the_file() -> None:
    if not CASES.exists():
        pytest.skip(f"{CASES.name} is not beside this checkout")
    assert OUT_OF_SCOPE.keys() <= {case["id"] for case in json.loads(CASES.read_text())["cases"]}
