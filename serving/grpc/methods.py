"""The methods of all services, whatever carries them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.calls import Api
from serving.grpc.examples import Examples
from serving.grpc.front import Answer, Kind, Message
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
from serving.grpc.work import Work
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


@dataclass(frozen=True)
class Unary:
    """Takes and returns one message.

    Args:
        request: the message's class.
        answer: is given the message and the deadline, by `time.monotonic`.
        prepare: makes of the message what is to be computed, where that is all there is to do: `answer` does the same and waits.
    """

    request: Any
    answer: Answer
    kind: Kind
    prepare: Callable[[Any], Work] | None = None


@dataclass(frozen=True)
class Streaming:
    """Returns any number of messages. All may raise StatusError.

    Args:
        answer: is given the requests' bytes as they come, and yields answers' bytes.
        takes_one: whether there is one request only.
    """

    answer: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]
    takes_one: bool


Method = Unary | Streaming


def methods(models: Models, *, as_content: bool = False) -> Mapping[str, Mapping[str, Method]]:
    """Every method by its service's name and its own.

    Args:
        as_content: Predict answers carry `tensor_content` rather than typed fields.
    """
    health = Health(models, SERVICES)
    return {
        _PREDICTION: _prediction(models, as_content=as_content),
        _MODEL: _model(models),
        _INFERENCE: _inference(models),
        _HEALTH: {
            "Check": Unary(health_pb2.HealthCheckRequest, health.check, _OPEN),
            "List": Unary(health_pb2.HealthListRequest, health.list_all, _OPEN),
            "Watch": Streaming(health.watch, takes_one=True),
        },
        **{
            name: {"ServerReflectionInfo": Streaming(Reflection(messages, SERVICES).info, takes_one=False)}
            for name, messages in _REFLECTION.items()
        },
    }


_OPEN = Kind("tfs-grpc", None)


def _of_spec(message: Message) -> str:
    return str(message.model_spec.name)


def _of_tasks(message: Message) -> str:
    return str(message.tasks[0].model_spec.name) if message.tasks else ""


def _of_model_name(message: Message) -> str:
    return str(message.model_name)


def _of_name(message: Message) -> str:
    return str(message.name)


def _prediction(models: Models, *, as_content: bool) -> dict[str, Method]:
    prediction = Prediction(models, as_content=as_content)
    examples = Examples(models)

    def kind(api: Api, model: Callable[[Any], str] = _of_spec) -> Kind:
        return Kind("tfs-grpc", "predict", api, model)

    look = Kind("tfs-grpc", "metadata", None, _of_spec)
    return {
        "Predict": Unary(views_pb2.PredictRequest, prediction.predict, kind("predict"), prediction.prepare),
        "Classify": Unary(views_pb2.ExamplesRequest, examples.classify, kind("classify")),
        "Regress": Unary(views_pb2.ExamplesRequest, examples.regress, kind("regress")),
        "MultiInference": Unary(
            views_pb2.MultiInferenceRequest, examples.multi_inference, kind("multi_inference", _of_tasks)
        ),
        "GetModelMetadata": Unary(tensorflow_serving_pb2.GetModelMetadataRequest, prediction.metadata, look),
    }


def _model(models: Models) -> dict[str, Method]:
    management = Management(models)
    look = Kind("tfs-grpc", "metadata", None, _of_spec)
    change = Kind("tfs-grpc", "admin")
    return {
        "GetModelStatus": Unary(tensorflow_serving_pb2.GetModelStatusRequest, management.status, look),
        "HandleReloadConfigRequest": Unary(tensorflow_serving_pb2.ReloadConfigRequest, management.reload, change),
    }


def _inference(models: Models) -> dict[str, Method]:
    inference = Inference(models)
    open_, look = Kind("v2-grpc", None), Kind("v2-grpc", "metadata")
    of_name = Kind("v2-grpc", "metadata", None, _of_name)
    change = Kind("v2-grpc", "admin", None, _of_model_name)
    infer = Kind("v2-grpc", "predict", "infer", _of_model_name)
    return {
        "ServerLive": Unary(inference_pb2.ServerLiveRequest, inference.live, open_),
        "ServerReady": Unary(inference_pb2.ServerReadyRequest, inference.ready, open_),
        "ModelReady": Unary(inference_pb2.ModelReadyRequest, inference.model_ready, of_name),
        "ServerMetadata": Unary(inference_pb2.ServerMetadataRequest, inference.server_metadata, look),
        "ModelMetadata": Unary(inference_pb2.ModelMetadataRequest, inference.model_metadata, of_name),
        "ModelInfer": Unary(views_pb2.ModelInferRequest, inference.infer, infer, inference.prepare),
        "ModelStatistics": Unary(inference_pb2.ModelStatisticsRequest, inference.statistics, of_name),
        "RepositoryIndex": Unary(inference_pb2.RepositoryIndexRequest, inference.index, look),
        "RepositoryModelLoad": Unary(inference_pb2.RepositoryModelLoadRequest, inference.load, change),
        "RepositoryModelUnload": Unary(inference_pb2.RepositoryModelUnloadRequest, inference.unload, change),
    }
