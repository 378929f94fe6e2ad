"""TensorFlow Serving's services by a real client over loopback. Only the registry behind them is a double (line_models)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest

from serving.grpc.protos import tensorflow_pb2 as tf
from serving.grpc.protos import tensorflow_serving_pb2 as tfs
from serving.interface import CLASSIFY, REGRESS, Code, StatusError
from tests.serving.grpc.line_models import Running, predict_request, refused, running

INFERENCE = "/inference.GRPCInferenceService/"
PREDICTION = "/tensorflow.serving.PredictionService/"
MODEL = "/tensorflow.serving.ModelService/"


# Predict


def test_predict_answers_with_typed_fields_and_says_which_version(server: Running) -> None:
    answer = server.predict(predict_request(x=[[1, 2], [3, 4]]))
    assert list(answer.outputs["y"].float_val) == [3, 5, 7, 9]
    assert list(answer.outputs["half"].float_val) == [0.5, 1, 1.5, 2]
    assert [dim.size for dim in answer.outputs["y"].tensor_shape.dim] == [2, 2]
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("line", 2, "serving_default")


def test_predict_answers_with_tensor_content_where_asked() -> None:
    with running(as_content=True) as server:
        output = server.predict(predict_request(x=[[1, 2]])).outputs["y"]
    assert np.frombuffer(output.tensor_content, np.float32).tolist() == [3, 5] and not output.float_val


def test_predict_takes_tensor_content(server: Running) -> None:
    proto = tf.TensorProto(dtype=1, tensor_content=np.array([[1, 2]], np.float32).tobytes())
    for size in (1, 2):
        proto.tensor_shape.dim.add(size=size)
    assert list(server.predict(predict_request(x=proto)).outputs["y"].float_val) == [3, 5]


@pytest.mark.parametrize(
    ("dtype", "field", "values"),
    [
        (7, "string_val", [b"a", b"\xff"]),
        (10, "bool_val", [True, False]),
        (19, "half_val", [0x3C00, 0]),
        (9, "int64_val", [-5, 2**60]),
        (4, "int_val", [0, 255]),
        (8, "scomplex_val", [1.0, 2.0, 3.0, 4.0]),
    ],
)
def test_predict_keeps_every_type(server: Running, dtype: int, field: str, values: list[Any]) -> None:
    names = {7: "string", 10: "bool", 19: "float16", 9: "int64", 4: "uint8", 8: "complex64"}
    proto = tf.TensorProto(dtype=dtype, **{field: values})
    proto.tensor_shape.dim.add(size=2)
    output = server.predict(predict_request(f"echo_{names[dtype]}", x=proto)).outputs["y"]
    assert output.dtype == dtype and list(getattr(output, field)) == values


def test_predict_by_version_and_label(server: Running) -> None:
    request = predict_request(x=[[1, 2]])
    request.model_spec.version.value = 1
    assert server.predict(request).model_spec.version.value == 1
    request.model_spec.version_label = "stable"
    assert server.predict(request).model_spec.version.value == 1


def test_an_output_filter_leaves_the_others_out(server: Running) -> None:
    request = predict_request(x=[[1, 2]])
    request.output_filter.append("half")
    assert set(server.predict(request).outputs) == {"half"}


def _predict(change: Any = None, signature: str = "", **inputs: Any) -> tfs.PredictRequest:
    request = predict_request(signature, **inputs)
    if change is not None:
        change(request)
    return request


def _filter(*names: str) -> Any:
    return lambda request: request.output_filter.extend(names)


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (tfs.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (_predict(lambda r: r.model_spec.ClearField("name")), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (
            _predict(lambda r: setattr(r.model_spec, "name", "foo")),
            "NOT_FOUND",
            "Servable not found for request: Latest(foo)",
        ),
        (
            _predict(lambda r: setattr(r.model_spec.version, "value", 50)),
            "NOT_FOUND",
            "Servable not found for request: Specific(line, 50)",
        ),
        (
            _predict(lambda r: setattr(r.model_spec, "version_label", "canary")),
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: canary",
        ),
        (_predict(signature="no"), "FAILED_PRECONDITION", 'Serving signature key "no" not found.'),
        (
            _predict(),
            "INVALID_ARGUMENT",
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        (
            _predict(x=[[1, 2]], b=[1]),
            "INVALID_ARGUMENT",
            "input size does not match signature: 2!=1 len({b,x}) != len({x}). Sent extra: {b}."
            " Missing but required: {}.",
        ),
        (
            _predict(signature="sum", x=[[1, 2]], b=[1]),
            "INVALID_ARGUMENT",
            "Signature input alias: z(feed name: z) not found in request and no default value provided. Inputs expected"
            " to be in the request {b,x}, or default input alias set: ",
        ),
        (
            _predict(_filter("z"), x=[[1, 2]]),
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: z Outputs expected to be in the set {half,y}.",
        ),
        (_predict(_filter("y", "y"), x=[[1, 2]]), "INVALID_ARGUMENT", "duplicate output tensor alias: y"),
        (
            _predict(x=tf.TensorProto(dtype=1, tensor_content=b"1")),
            "INVALID_ARGUMENT",
            "tensor parsing error: x (tensor_content has 1 bytes where shape and type make 4)",
        ),
        (
            _predict(x=tf.TensorProto(dtype=3, int_val=[1])),
            "INVALID_ARGUMENT",
            'input "x" is of type int32, the model takes float32',
        ),
        (_predict(x=[[1, 2, 3]]), "INVALID_ARGUMENT", 'input "x" has shape [1,3], the model takes [?,2]'),
    ],
)
def test_predict_refuses_with_the_message_of_the_original(
    server: Running, request_: Any, code: str, message: str
) -> None:
    assert refused(lambda: server.predict(request_)) == (code, message)


def test_bytes_that_are_no_message_are_the_callers_fault(server: Running) -> None:
    for path in (PREDICTION + "Predict", PREDICTION + "Classify", MODEL + "GetModelStatus", INFERENCE + "ModelInfer"):
        code, message = refused(lambda path=path: server.channel.unary_unary(path)(b"\xff\xff", timeout=10))
        assert code == "INVALID_ARGUMENT" and "bytes are no" in message


def test_an_error_of_the_model_keeps_its_code_and_a_long_one_is_cut(server: Running) -> None:
    line = server.models.versions[2]
    line.error = StatusError(Code.UNAVAILABLE, "x" * 2000, retry_after=1.5)
    with pytest.raises(grpc.RpcError) as caught:
        server.predict(predict_request(x=[[1, 2]]))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "x" * 1024 + "...TRUNCATED"
    assert ("grpc-retry-pushback-ms", "1500") in caught.value.trailing_metadata()
    line.error = KeyError("a bug")
    assert refused(lambda: server.predict(predict_request(x=[[1, 2]]))) == ("INTERNAL", "KeyError: 'a bug'")


def test_the_deadline_reaches_the_model_and_a_client_that_left_gives_the_work_up(server: Running) -> None:
    line = server.models.versions[2]
    server.predict(predict_request(x=[[1, 2]]), timeout=5)
    server.predict(predict_request(x=[[1, 2]]), timeout=None)
    assert line.deadlines[0] is not None and 0 < line.deadlines[0] < 6  # the wire rounds up
    assert line.deadlines[1] is None
    line.hold = asyncio.Event()
    assert refused(lambda: server.predict(predict_request(x=[[1, 2]]), timeout=0.05))[0] == "DEADLINE_EXCEEDED"
    assert line.was_cancelled.wait(10)


def test_a_message_over_the_limit_is_refused() -> None:
    with running(max_message_bytes=1000) as server:
        assert refused(lambda: server.predict(predict_request(x=np.zeros((500, 2)))))[0] == "RESOURCE_EXHAUSTED"
        assert server.predict(predict_request(x=np.zeros((10, 2)))).outputs["y"].float_val[0] == 1


def test_compressed_requests_are_taken(server: Running) -> None:
    answer = server.predict(predict_request(x=np.zeros((5000, 2))), compression=grpc.Compression.Gzip)
    assert len(answer.outputs["y"].float_val) == 10_000


# Classify, Regress, MultiInference


def example(**features: Any) -> tf.Example:
    made = tf.Example()
    for name, value in features.items():
        made.features.feature[name].CopyFrom(value)
    return made


def floats(*values: float) -> tf.Feature:
    return tf.Feature(float_list=tf.FloatList(value=values))


def asked(kind: Any, signature: str, *examples: tf.Example, name: str = "line") -> Any:
    request = kind()
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    request.input.example_list.examples.extend(examples)
    return request


def classify(server: Running, request: Any) -> Any:
    return server.call(PREDICTION + "Classify", request, tfs.ClassificationResponse)


def test_classify_gives_the_examples_as_they_were_written(server: Running) -> None:
    one = example(x=floats(1, 2))
    answer = classify(server, asked(tfs.ClassificationRequest, "classify", one, tf.Example()))
    first, second = answer.result.classifications
    assert [(one.label, one.score) for one in first.classes] == [("long", one.ByteSize()), ("one", 1)]
    assert second.classes[0].score == 0
    assert answer.model_spec.version.value == 2 and answer.model_spec.signature_name == "classify"


def test_classify_merges_the_context_into_each_example(server: Running) -> None:
    context = example(c=floats(9))
    request = tfs.ClassificationRequest()
    request.model_spec.name = "line"
    request.model_spec.signature_name = "columns"
    request.input.example_list_with_context.context.CopyFrom(example(x=floats(1, 2)))
    request.input.example_list_with_context.examples.append(context)
    scores = classify(server, request).result.classifications[0].classes
    assert [one.score for one in scores] == [3, 5] and scores[0].label == ""


def test_regress_gives_a_number_for_each_example(server: Running) -> None:
    one = example(x=floats(1, 2))
    request = asked(tfs.RegressionRequest, "regress", one, one)
    answer = server.call(PREDICTION + "Regress", request, tfs.RegressionResponse)
    assert [regression.value for regression in answer.result.regressions] == [one.ByteSize()] * 2


def test_multi_inference_answers_each_task(server: Running) -> None:
    request = tfs.MultiInferenceRequest()
    request.input.example_list.examples.append(example(x=floats(1)))
    for signature, method in (("classify", CLASSIFY), ("regress", REGRESS)):
        task = request.tasks.add(method_name=method)
        task.model_spec.name = "line"
        task.model_spec.signature_name = signature
    answer = server.call(PREDICTION + "MultiInference", request, tfs.MultiInferenceResponse)
    assert [one.WhichOneof("result") for one in answer.results] == ["classification_result", "regression_result"]
    assert answer.results[1].model_spec.signature_name == "regress"
    request.tasks[1].method_name = "other"
    call = lambda: server.call(PREDICTION + "MultiInference", request, tfs.MultiInferenceResponse)  # noqa: E731
    assert refused(call) == ("UNIMPLEMENTED", "Unsupported signature method_name: other")
    request.tasks[1].CopyFrom(request.tasks[0])
    assert refused(call) == ("INVALID_ARGUMENT", "Duplicate evaluation of signature: classify")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (tfs.ClassificationRequest(), "Missing ModelSpec"),
        (asked(tfs.ClassificationRequest, "classify"), "Input is empty."),
        (asked(tfs.ClassificationRequest, "no", example()), "No signature was found with the name: no"),
        (
            asked(tfs.ClassificationRequest, "", example()),
            "Expected classification signature method_name to be tensorflow/serving/classify."
            " Was: tensorflow/serving/predict",
        ),
        (
            asked(tfs.ClassificationRequest, "columns", example(z=floats(1))),
            "Feature: x (data type: float32) is required but could not be found.",
        ),
        (
            asked(tfs.ClassificationRequest, "columns", example(x=floats(1))),
            "Key: x, Index: 0. Number of values != expected: 1 but 2",
        ),
    ],
)
def test_classify_refuses_with_the_message_of_the_original(server: Running, request_: Any, message: str) -> None:
    assert refused(lambda: classify(server, request_)) == ("INVALID_ARGUMENT", message)


# metadata, status, configuration


def test_metadata_describes_every_signature(server: Running) -> None:
    request = tfs.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "line"
    answer = server.call(PREDICTION + "GetModelMetadata", request, tfs.GetModelMetadataResponse)
    described = tfs.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(described)
    default = described.signature_def["serving_default"]
    assert [dim.size for dim in default.inputs["x"].tensor_shape.dim] == [-1, 2] and default.inputs["x"].dtype == 1
    assert described.signature_def["classify"].method_name == CLASSIFY
    assert described.signature_def["echo_string"].inputs["x"].tensor_shape.unknown_rank
    assert answer.model_spec.version.value == 2 and not answer.model_spec.signature_name


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([], "GetModelMetadataRequest must specify at least one metadata_field"),
        (["graph"], "Metadata field graph is not supported"),
    ],
)
def test_metadata_has_the_signatures_only(server: Running, fields: list[str], message: str) -> None:
    request = tfs.GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = "line"
    call = lambda: server.call(PREDICTION + "GetModelMetadata", request, tfs.GetModelMetadataResponse)  # noqa: E731
    assert refused(call) == ("INVALID_ARGUMENT", message)


def status(server: Running, name: str, version: int | None = None) -> Any:
    request = tfs.GetModelStatusRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    return server.call(MODEL + "GetModelStatus", request, tfs.GetModelStatusResponse).model_version_status


def test_status_tells_of_each_version_and_why_one_failed(server: Running) -> None:
    assert [(one.version, one.state, one.status.error_code) for one in status(server, "line")] == [
        (1, 30, 0),
        (2, 30, 0),
        (3, 50, 15),
    ]
    assert status(server, "line", 3)[0].status.error_message == "digest differs"
    assert refused(lambda: status(server, "foo")) == ("NOT_FOUND", "Could not find any versions of model foo")
    assert refused(lambda: status(server, "line", 9)) == ("NOT_FOUND", "Could not find version 9 of model line")


def test_a_new_configuration_replaces_the_list(server: Running) -> None:
    request = tfs.ReloadConfigRequest()
    one = request.config.model_config_list.config.add(name="a", base_path="/models/a", model_platform="tensorflow")
    one.model_version_policy.specific.versions.extend([4, 5])
    one.version_labels["stable"] = 4
    request.config.model_config_list.config.add(name="b", base_path="/models/b").model_version_policy.all.SetInParent()
    request.config.model_config_list.config.add(name="c", base_path="/models/c")
    answer = server.call(MODEL + "HandleReloadConfigRequest", request, tfs.ReloadConfigResponse)
    assert answer.HasField("status") and answer.status.error_code == 0
    first, second, third = server.models.configs
    assert (first.specific, first.labels, first.platform) == ((4, 5), {"stable": 4}, "tensorflow")
    assert (second.latest, second.specific, third.latest) == (None, (), 1)
    request.config.model_config_list.config[0].base_path = ""
    call = lambda: server.call(MODEL + "HandleReloadConfigRequest", request, tfs.ReloadConfigResponse)  # noqa: E731
    assert refused(call)[0] == "INVALID_ARGUMENT"
    request.Clear()
    assert "Only ModelConfigList is currently supported" in refused(call)[1]
