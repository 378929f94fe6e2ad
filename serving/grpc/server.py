"""All services on one port."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from serving.calls import Api
from serving.grpc.calls import Handler, unary
from serving.grpc.examples import Examples
from serving.grpc.front import Front, Kind
from serving.grpc.health import Health
from serving.grpc.inference import Inference
from serving.grpc.management import Management
from serving.grpc.prediction import Prediction
from serving.grpc.protos import (
    health_pb2,
    inference_pb2,
    reflection_v1_pb2,
    reflection_v1alpha_pb2,
    tensorflow_serving_pb2,
    views_pb2,
)
from serving.grpc.reflection import Reflection
from serving.interface import Models

MAX_MESSAGE_BYTES = 128 << 20
"""Of a request; a longer one is refused with RESOURCE_EXHAUSTED before it is read. TensorFlow Serving has no limit."""

_PREDICTION = "tensorflow.serving.PredictionService"
_MODEL = "tensorflow.serving.ModelService"
_INFERENCE = "inference.GRPCInferenceService"
_HEALTH = "grpc.health.v1.Health"
_REFLECTION = {
    "grpc.reflection.v1.ServerReflection": reflection_v1_pb2,
    "grpc.reflection.v1alpha.ServerReflection": reflection_v1alpha_pb2,
}
SERVICES = (_PREDICTION, _MODEL, _INFERENCE, _HEALTH, *_REFLECTION)


def make_server(
    models: Models,
    front: Front | None = None,
    *,
    as_content: bool = False,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    max_calls: int | None = None,
    options: Iterable[tuple[str, Any]] = (),
) -> Any:
    """A grpc.aio server of this event loop, with its services but no port yet.

    Args:
        front: what every call passes; left out, everybody may ask and nobody is told.
        as_content: Predict answers carry `tensor_content` rather than typed fields.
        max_message_bytes: of a request; -1 for no limit. Answers have none.
        max_calls: at the same time; more are refused with RESOURCE_EXHAUSTED.
        options: further gRPC channel arguments, as `--grpc_channel_arguments` names them; they win.
    """
    defaults = {
        "grpc.max_receive_message_length": max_message_bytes,
        "grpc.max_send_message_length": -1,
        # Several worker processes listen on the port; the kernel shares connections out.
        "grpc.so_reuseport": 1,
    }
    server = grpc.aio.server(options=list({**defaults, **dict(options)}.items()), maximum_concurrent_rpcs=max_calls)
    for name, methods in _services(models, front or Front(), as_content=as_content).items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    return server


def _services(models: Models, front: Front, *, as_content: bool) -> dict[str, dict[str, Handler]]:
    health = Health(models, SERVICES)
    return {
        _PREDICTION: _prediction(models, front, as_content=as_content),
        _MODEL: _model(models, front),
        _INFERENCE: _inference(models, front),
        _HEALTH: {
            "Check": unary(health_pb2.HealthCheckRequest, health.check, _OPEN, front),
            "List": unary(health_pb2.HealthListRequest, health.list_all, _OPEN, front),
            "Watch": grpc.unary_stream_rpc_method_handler(health.watch),
        },
        **{
            name: {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(Reflection(messages, SERVICES).info)}
            for name, messages in _REFLECTION.items()
        },
    }


_OPEN = Kind("tfs-grpc", None)


def _of_spec(message: Any) -> str:
    return str(message.model_spec.name)


def _of_tasks(message: Any) -> str:
    return str(message.tasks[0].model_spec.name) if message.tasks else ""


def _of_model_name(message: Any) -> str:
    return str(message.model_name)


def _of_name(message: Any) -> str:
    return str(message.name)


def _prediction(models: Models, front: Front, *, as_content: bool) -> dict[str, Handler]:
    prediction = Prediction(models, as_content=as_content)
    examples = Examples(models)

    def kind(api: Api, model: Callable[[Any], str] = _of_spec) -> Kind:
        return Kind("tfs-grpc", "predict", api, model)

    look = Kind("tfs-grpc", "metadata", None, _of_spec)
    return {
        "Predict": unary(views_pb2.PredictRequest, prediction.predict, kind("predict"), front),
        "Classify": unary(views_pb2.ExamplesRequest, examples.classify, kind("classify"), front),
        "Regress": unary(views_pb2.ExamplesRequest, examples.regress, kind("regress"), front),
        "MultiInference": unary(
            views_pb2.MultiInferenceRequest, examples.multi_inference, kind("multi_inference", _of_tasks), front
        ),
        "GetModelMetadata": unary(tensorflow_serving_pb2.GetModelMetadataRequest, prediction.metadata, look, front),
    }


def _model(models: Models, front: Front) -> dict[str, Handler]:
    management = Management(models)
    look = Kind("tfs-grpc", "metadata", None, _of_spec)
    change = Kind("tfs-grpc", "admin")
    return {
        "GetModelStatus": unary(tensorflow_serving_pb2.GetModelStatusRequest, management.status, look, front),
        "HandleReloadConfigRequest": unary(
            tensorflow_serving_pb2.ReloadConfigRequest, management.reload, change, front
        ),
    }


def _inference(models: Models, front: Front) -> dict[str, Handler]:
    inference = Inference(models)
    open_, look = Kind("v2-grpc", None), Kind("v2-grpc", "metadata")
    of_name = Kind("v2-grpc", "metadata", None, _of_name)
    change = Kind("v2-grpc", "admin", None, _of_model_name)
    infer = Kind("v2-grpc", "predict", "infer", _of_model_name)
    return {
        "ServerLive": unary(inference_pb2.ServerLiveRequest, inference.live, open_, front),
        "ServerReady": unary(inference_pb2.ServerReadyRequest, inference.ready, open_, front),
        "ModelReady": unary(inference_pb2.ModelReadyRequest, inference.model_ready, of_name, front),
        "ServerMetadata": unary(inference_pb2.ServerMetadataRequest, inference.server_metadata, look, front),
        "ModelMetadata": unary(inference_pb2.ModelMetadataRequest, inference.model_metadata, of_name, front),
        "ModelInfer": unary(views_pb2.ModelInferRequest, inference.infer, infer, front),
        "ModelStatistics": unary(inference_pb2.ModelStatisticsRequest, inference.statistics, of_name, front),
        "RepositoryIndex": unary(inference_pb2.RepositoryIndexRequest, inference.index, look, front),
        "RepositoryModelLoad": unary(inference_pb2.RepositoryModelLoadRequest, inference.load, change, front),
        "RepositoryModelUnload": unary(inference_pb2.RepositoryModelUnloadRequest, inference.unload, change, front),
    }
