"""All services on one port."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from serving.grpc.calls import Handler, unary
from serving.grpc.examples import Examples
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
    *,
    as_content: bool = False,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    max_calls: int | None = None,
    options: Iterable[tuple[str, Any]] = (),
) -> Any:
    """A grpc.aio server of this event loop, with its services but no port yet.

    Args:
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
    for name, methods in _services(models, as_content=as_content).items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    return server


def _services(models: Models, *, as_content: bool) -> dict[str, dict[str, Handler]]:
    health = Health(models, SERVICES)
    return {
        _PREDICTION: _prediction(models, as_content=as_content),
        _MODEL: _model(models),
        _INFERENCE: _inference(models),
        _HEALTH: {
            "Check": unary(health_pb2.HealthCheckRequest, health.check),
            "List": unary(health_pb2.HealthListRequest, health.list_all),
            "Watch": grpc.unary_stream_rpc_method_handler(health.watch),
        },
        **{
            name: {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(Reflection(messages, SERVICES).info)}
            for name, messages in _REFLECTION.items()
        },
    }


def _prediction(models: Models, *, as_content: bool) -> dict[str, Handler]:
    prediction = Prediction(models, as_content=as_content)
    examples = Examples(models)
    return {
        "Predict": unary(views_pb2.PredictRequest, prediction.predict),
        "Classify": unary(views_pb2.ExamplesRequest, examples.classify),
        "Regress": unary(views_pb2.ExamplesRequest, examples.regress),
        "MultiInference": unary(views_pb2.MultiInferenceRequest, examples.multi_inference),
        "GetModelMetadata": unary(tensorflow_serving_pb2.GetModelMetadataRequest, prediction.metadata),
    }


def _model(models: Models) -> dict[str, Handler]:
    management = Management(models)
    return {
        "GetModelStatus": unary(tensorflow_serving_pb2.GetModelStatusRequest, management.status),
        "HandleReloadConfigRequest": unary(tensorflow_serving_pb2.ReloadConfigRequest, management.reload),
    }


def _inference(models: Models) -> dict[str, Handler]:
    inference = Inference(models)
    return {
        "ServerLive": unary(inference_pb2.ServerLiveRequest, inference.live),
        "ServerReady": unary(inference_pb2.ServerReadyRequest, inference.ready),
        "ModelReady": unary(inference_pb2.ModelReadyRequest, inference.model_ready),
        "ServerMetadata": unary(inference_pb2.ServerMetadataRequest, inference.server_metadata),
        "ModelMetadata": unary(inference_pb2.ModelMetadataRequest, inference.model_metadata),
        "ModelInfer": unary(views_pb2.ModelInferRequest, inference.infer),
        "ModelStatistics": unary(inference_pb2.ModelStatisticsRequest, inference.statistics),
        "RepositoryIndex": unary(inference_pb2.RepositoryIndexRequest, inference.index),
        "RepositoryModelLoad": unary(inference_pb2.RepositoryModelLoadRequest, inference.load),
        "RepositoryModelUnload": unary(inference_pb2.RepositoryModelUnloadRequest, inference.unload),
    }
