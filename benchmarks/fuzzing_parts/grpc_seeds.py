"""Calls that are right, of every method of both services, of health and reflection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.grpc import contents, tensors
from serving.grpc.protos import (
    health_pb2,
    inference_pb2,
    reflection_v1_pb2,
    tensorflow_pb2,
    tensorflow_serving_pb2,
    views_pb2,
)

_PREDICTION = "/tensorflow.serving.PredictionService/"
_MODEL = "/tensorflow.serving.ModelService/"
_INFERENCE = "/inference.GRPCInferenceService/"
_REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
WATCH = "/grpc.health.v1.Health/Watch"
STREAMS = frozenset({_REFLECTION, _REFLECTION.replace("v1", "v1alpha"), WATCH})
tfs: Any = tensorflow_serving_pb2
v2: Any = inference_pb2
_ARRAYS = {
    "rows": {"x": np.ones((2, 3), np.float32)},
    "whole": {"x": np.array([[2**53 + 1, -1]])},
    "halves": {"x": np.ones((1, 2), np.float16)},
    "flags": {"x": np.ones((1, 2), bool)},
    "bytes": {"x": np.ones((1, 2), np.int8)},
    "sum": {"a": np.ones((1, 2), np.float32), "b": np.ones((1, 2), np.float32)},
    "table": {"x": np.array([3, 0])},
}


@dataclass(frozen=True)
class Call:
    path: str
    message: bytes


def all_calls() -> list[Call]:
    found = [*_predicts(), *_infers(), *_examples(), *_looks(), *_changes()]
    return [Call(path, message.SerializeToString()) for path, message in found]


def _spec(name: str, **more: Any) -> Any:
    spec = tfs.ModelSpec(name=name, signature_name=more.get("signature", ""))
    if "version" in more:
        spec.version.value = more["version"]
    if "label" in more:
        spec.version_label = more["label"]
    return spec


def _predicts() -> list[tuple[str, Any]]:
    found = []
    for name, inputs in _ARRAYS.items():
        for as_content in (False, True):
            request = tfs.PredictRequest(model_spec=_spec(name, version=3))
            for key, array in inputs.items():
                view = views_pb2.Tensor()
                tensors.encode(array, view, as_content=as_content)
                request.inputs[key].ParseFromString(view.SerializeToString())
            request.output_filter.append("y")
            found.append((_PREDICTION + "Predict", request))
    texts = tfs.PredictRequest(model_spec=_spec("texts", label="stable", signature="serving_default"))
    texts.inputs["x"].CopyFrom(tensorflow_pb2.TensorProto(dtype="DT_STRING", string_val=[b"a", b"b"]))
    texts.inputs["x"].tensor_shape.dim.add(size=2)
    return [*found, (_PREDICTION + "Predict", texts)]


def _infers() -> list[tuple[str, Any]]:
    found = []
    for name, inputs in _ARRAYS.items():
        raw, typed = (v2.ModelInferRequest(model_name=name, model_version="3", id="i") for _ in range(2))
        for key, array in inputs.items():
            kind = contents.BY_DTYPE[array.dtype.name]
            for request in (raw, typed):
                request.inputs.add(name=key, datatype=kind.name, shape=array.shape)
            raw.raw_input_contents.append(array.tobytes())
            if kind.field:
                getattr(typed.inputs[-1].contents, kind.field).extend(array.ravel().tolist())
        raw.outputs.add(name="y")
        raw.parameters["timeout"].int64_param = 5_000_000
        found.append((_INFERENCE + "ModelInfer", raw))
        if all(one.HasField("contents") for one in typed.inputs):
            found.append((_INFERENCE + "ModelInfer", typed))
    return found


def _examples() -> list[tuple[str, Any]]:
    example = tensorflow_pb2.Example()
    example.features.feature["x"].float_list.value.extend([1, 2])
    one = tensorflow_pb2.Example()
    one.features.feature["x"].float_list.value.append(1)
    classify = tfs.ClassificationRequest(model_spec=_spec("classes"))
    classify.input.example_list.examples.append(example)
    regress = tfs.RegressionRequest(model_spec=_spec("values"))
    regress.input.example_list_with_context.context.CopyFrom(one)
    regress.input.example_list_with_context.examples.add()
    several = tfs.MultiInferenceRequest()
    task = several.tasks.add(method_name="tensorflow/serving/classify")
    task.model_spec.CopyFrom(_spec("classes"))
    several.input.CopyFrom(classify.input)
    return [
        (_PREDICTION + "Classify", classify),
        (_PREDICTION + "Regress", regress),
        (_PREDICTION + "MultiInference", several),
    ]


def _looks() -> list[tuple[str, Any]]:
    fields = ["signature_def"]
    found: list[tuple[str, Any]] = [
        (
            _PREDICTION + "GetModelMetadata",
            tfs.GetModelMetadataRequest(model_spec=_spec("pair"), metadata_field=fields),
        ),
        (_MODEL + "GetModelStatus", tfs.GetModelStatusRequest(model_spec=_spec("rows", version=3))),
        (_INFERENCE + "ServerLive", v2.ServerLiveRequest()),
        (_INFERENCE + "ServerReady", v2.ServerReadyRequest()),
        (_INFERENCE + "ServerMetadata", v2.ServerMetadataRequest()),
        (_INFERENCE + "RepositoryIndex", v2.RepositoryIndexRequest(ready=True)),
        ("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest(service="inference.GRPCInferenceService")),
        ("/grpc.health.v1.Health/List", health_pb2.HealthListRequest()),
        (WATCH, health_pb2.HealthCheckRequest()),
    ]
    for name in ("ModelReady", "ModelMetadata", "ModelStatistics"):
        found.append((_INFERENCE + name, getattr(v2, name + "Request")(name="rows", version="3")))
    ask = reflection_v1_pb2.ServerReflectionRequest
    asked = [
        ask(list_services=""),
        ask(file_containing_symbol="inference.GRPCInferenceService"),
        ask(file_by_filename="x"),
    ]
    found += [(path, one) for path in sorted(STREAMS - {WATCH}) for one in asked]
    return found


def _changes() -> list[tuple[str, Any]]:
    reload = tfs.ReloadConfigRequest()
    config = reload.config.model_config_list.config.add(name="rows", base_path="/models/rows", model_platform="onnx")
    config.model_version_policy.specific.versions.extend([3, 7])
    config.version_labels["stable"] = 3
    return [
        (_MODEL + "HandleReloadConfigRequest", reload),
        (_INFERENCE + "RepositoryModelLoad", v2.RepositoryModelLoadRequest(model_name="rows")),
        (_INFERENCE + "RepositoryModelUnload", v2.RepositoryModelUnloadRequest(model_name="rows")),
    ]
