"""What TensorFlow Serving's REST has here beside the original: an output filter, `:explain`, context features."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.serving import onnx_models as models
from tests.serving.app import App, of_onnx
from tests.serving.test_tensorflow_serving_cases import HalfPlusTwo


@pytest.fixture
def two(tmp_path: Path) -> App:
    return of_onnx(tmp_path / "m.onnx", models.two_outputs(), [("x", "int32")], [("a", "float32"), ("b", "int32")])


@pytest.fixture
def examples(tmp_path: Path) -> App:
    app = of_onnx(tmp_path / "m.onnx", models.half_plus_two(), [("x", "float32")], [("y", "float32")])
    app.backend = HalfPlusTwo(app.backend)
    return app


def test_only_the_outputs_asked_for_are_answered(two: App) -> None:
    rows = two.predict({"instances": [1, 2], "output_filter": ["a"]})
    assert json.loads(rows.body) == {"predictions": json.loads(two.predict({"inputs": [1, 2]}).body)["outputs"]["a"]}
    columns = two.predict({"inputs": [1, 2], "output_filter": ["b", "b"]})
    assert json.loads(columns.body)["outputs"] == json.loads(two.predict({"inputs": [1, 2]}).body)["outputs"]["b"]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (["z"], "output tensor alias not found in signature: z Outputs expected to be in the set {a,b}."),
        ("a", "'output_filter' must be a list of names of outputs"),
        ([1], "'output_filter' must be a list of names of outputs"),
    ],
)
def test_a_wrong_filter_is_told(two: App, wanted: object, told: str) -> None:
    answer = two.predict({"instances": [1], "output_filter": wanted})
    assert (answer.status, json.loads(answer.body)["error"]) == (400, told)


def test_a_model_without_explanations_says_how_to_get_them(two: App) -> None:
    answer = two.ask("POST", "/v1/models/m:explain", '{"instances":[1]}')
    assert answer.status == 400
    assert "train it with `skylift train --explain`" in json.loads(answer.body)["error"]


def test_features_of_the_context_are_those_of_every_example_unless_it_has_its_own(examples: App) -> None:
    body = {"signature_name": "regress_x_to_y", "context": {"x": 2.0}, "examples": [{}, {"x": 80.0}]}
    answer = examples.ask("POST", "/v1/models/m:regress", json.dumps(body))
    assert json.loads(answer.body) == {"results": [3.0, 42.0]}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"examples": [{"x": [[1]]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"examples": [{"x": ["a", 1]}]}, "Unexpected element type in feature: x expecting type: bytes"),
        ({"examples": [{"x": {"b64": "!"}}]}, "Unable to base64 decode"),
        ({"signature_name": "no", "examples": [{"x": 1.0}]}, "No signature was found with the name: no"),
        (
            {"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}]},
            "No regression outputs found in SignatureDef",
        ),
        ({"signature_name": "regress_x_to_y", "examples": [{"x": 1}]}, "Data types don't match"),
        ({"signature_name": "regress_x_to_y", "examples": [{"y": 1.0}]}, "is required but could not be found"),
        ({"signature_name": "regress_x_to_y", "examples": [{"\ud800": 1.0}]}, "surrogate"),
    ],
)
def test_odd_examples_are_the_clients_mistake(examples: App, body: object, told: str) -> None:
    answer = examples.ask("POST", "/v1/models/m:regress", json.dumps(body))
    assert answer.status == 400
    assert told in json.loads(answer.body)["error"]
