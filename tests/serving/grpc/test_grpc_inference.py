"""Open Inference Protocol v2 by a real client over loopback. Only the registry behind it is a double (line_models)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serving.grpc.protos import inference_pb2 as v2
from tests.serving.grpc.line_models import Running, refused

INFERENCE = "/inference.GRPCInferenceService/"


def infer_request(values: Any = ((1, 2),), *, raw: bool = False, name: str = "x") -> v2.ModelInferRequest:
    array = np.asarray(values, np.float32)
    request = v2.ModelInferRequest(model_name="line", id="seven")
    given = request.inputs.add(name=name, datatype="FP32", shape=array.shape)
    if raw:
        request.raw_input_contents.append(array.tobytes())
    else:
        given.contents.fp32_contents.extend(array.ravel().tolist())
    return request


def test_infer_answers_as_it_was_asked_raw_or_in_contents(server: Running) -> None:
    answer = server.infer(infer_request())
    assert (answer.model_name, answer.model_version, answer.id) == ("line", "2", "seven")
    outputs = {output.name: output for output in answer.outputs}
    assert list(outputs["y"].contents.fp32_contents) == [3, 5] and list(outputs["y"].shape) == [1, 2]
    assert outputs["y"].datatype == "FP32" and not answer.raw_output_contents
    answer = server.infer(infer_request(raw=True))
    assert [output.name for output in answer.outputs] == ["y", "half"]
    assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [3, 5]


def test_infer_leaves_out_outputs_that_are_not_asked_for(server: Running) -> None:
    request = infer_request(raw=True)
    request.outputs.add(name="half")
    request.model_version = "1"
    answer = server.infer(request)
    assert [output.name for output in answer.outputs] == ["half"] and answer.model_version == "1"


def test_infer_by_another_signature(server: Running) -> None:
    request = v2.ModelInferRequest(model_name="line")
    request.parameters["signature_name"].string_param = "echo_string"
    request.inputs.add(name="x", datatype="BYTES", shape=[2]).contents.bytes_contents.extend([b"a", b"\xff"])
    assert list(server.infer(request).outputs[0].contents.bytes_contents) == [b"a", b"\xff"]


def test_half_numbers_come_back_raw(server: Running) -> None:
    request = v2.ModelInferRequest(model_name="line", raw_input_contents=[np.float16([1, 2]).tobytes()])
    request.parameters["signature_name"].string_param = "echo_float16"
    request.inputs.add(name="x", datatype="FP16", shape=[2])
    assert np.frombuffer(server.infer(request).raw_output_contents[0], np.float16).tolist() == [1, 2]


def _infer(change: Any) -> v2.ModelInferRequest:
    request = infer_request(raw=True)
    change(request)
    return request


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (_infer(lambda r: setattr(r, "model_name", "foo")), "NOT_FOUND", "Latest(foo)"),
        (_infer(lambda r: setattr(r, "model_version", "nine")), "INVALID_ARGUMENT", "'nine': it is no integer"),
        (_infer(lambda r: setattr(r.inputs[0], "name", "q")), "INVALID_ARGUMENT", "unexpected inference input 'q'"),
        (_infer(lambda r: setattr(r.inputs[0], "datatype", "INT8")), "INVALID_ARGUMENT", "expects 'FP32'"),
        (_infer(lambda r: r.inputs[0].shape.append(1)), "INVALID_ARGUMENT", "Expected [-1, 2], got [1, 2, 1]"),
        (
            _infer(lambda r: r.inputs[0].shape.__setitem__(0, -1)),
            "INVALID_ARGUMENT",
            "dimension -1 of shape [-1, 2] is negative",
        ),
        (_infer(lambda r: r.raw_input_contents.append(b"")), "INVALID_ARGUMENT", "expected 1 raw inputs, got 2"),
        (_infer(lambda r: r.inputs.pop()), "INVALID_ARGUMENT", "expected 0 raw inputs, got 1"),
        (_infer(lambda r: r.outputs.add(name="q")), "INVALID_ARGUMENT", "unexpected inference output 'q'"),
        (
            _infer(lambda r: r.inputs[0].contents.fp32_contents.append(1)),
            "INVALID_ARGUMENT",
            "contents field must not be specified when using raw_input_contents",
        ),
        (v2.ModelInferRequest(model_name="line"), "INVALID_ARGUMENT", "expected 1 inputs but got 0 inputs"),
    ],
)
def test_infer_names_what_is_wrong(server: Running, request_: Any, code: str, message: str) -> None:
    given, text = refused(lambda: server.infer(request_))
    assert given == code and message in text


def test_v2_tells_of_server_and_models(server: Running) -> None:
    def ask(method: str, request: Any, answer: Any) -> Any:
        return server.call(INFERENCE + method, request, answer)

    assert ask("ServerLive", v2.ServerLiveRequest(), v2.ServerLiveResponse).live
    assert ask("ServerReady", v2.ServerReadyRequest(), v2.ServerReadyResponse).ready
    assert ask("ModelReady", v2.ModelReadyRequest(name="line"), v2.ModelReadyResponse).ready
    assert not ask("ModelReady", v2.ModelReadyRequest(name="line", version="9"), v2.ModelReadyResponse).ready
    assert ask("ServerMetadata", v2.ServerMetadataRequest(), v2.ServerMetadataResponse).name == "skylift"
    told = ask("ModelMetadata", v2.ModelMetadataRequest(name="line"), v2.ModelMetadataResponse)
    assert list(told.versions) == ["1", "2"] and told.platform == "numpy"
    assert (told.inputs[0].name, told.inputs[0].datatype, list(told.inputs[0].shape)) == ("x", "FP32", [-1, 2])
    told = ask("ModelStatistics", v2.ModelStatisticsRequest(name="line"), v2.ModelStatisticsResponse).model_stats[0]
    assert (told.inference_count, told.execution_count, told.inference_stats.compute_infer.ns) == (6, 3, 4000)
    assert told.batch_stats[0].batch_size == 2


def test_v2_repository(server: Running) -> None:
    def ask(method: str, request: Any, answer: Any) -> Any:
        return server.call(INFERENCE + method, request, answer)

    index = ask("RepositoryIndex", v2.RepositoryIndexRequest(), v2.RepositoryIndexResponse).models
    assert [(one.version, one.state, one.reason) for one in index] == [
        ("1", "READY", ""),
        ("2", "READY", ""),
        ("3", "UNAVAILABLE", "digest differs"),
    ]
    assert len(ask("RepositoryIndex", v2.RepositoryIndexRequest(ready=True), v2.RepositoryIndexResponse).models) == 2
    load = v2.RepositoryModelLoadRequest(model_name="line")
    ask("RepositoryModelLoad", load, v2.RepositoryModelLoadResponse)
    assert server.models.loaded == ["line"]
    load.parameters["config"].string_param = "{}"
    assert refused(lambda: ask("RepositoryModelLoad", load, v2.RepositoryModelLoadResponse))[0] == "INVALID_ARGUMENT"
    unload = v2.RepositoryModelUnloadRequest(model_name="line")
    unload.parameters["unload_dependents"].bool_param = True
    ask("RepositoryModelUnload", unload, v2.RepositoryModelUnloadResponse)
    assert server.models.loaded == []
