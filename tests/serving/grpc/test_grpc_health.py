"""Health and reflection by a real client over loopback. Only the registry behind them is a double (line_models)."""

from __future__ import annotations

import queue
from typing import Any

import pytest

from serving.grpc.protos import health_pb2, reflection_v1_pb2, reflection_v1alpha_pb2
from tests.serving.grpc.line_models import Running, refused


def check(server: Running, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    status: int = server.call("/grpc.health.v1.Health/Check", request, health_pb2.HealthCheckResponse).status
    return status


def test_health_of_the_server_its_services_and_models(server: Running) -> None:
    assert check(server, "") == check(server, "tensorflow.serving.PredictionService") == check(server, "line") == 1
    server.models.is_ready = False
    assert check(server, "") == 2
    assert refused(lambda: check(server, "foo"))[0] == "NOT_FOUND"
    answer = server.call("/grpc.health.v1.Health/List", health_pb2.HealthListRequest(), health_pb2.HealthListResponse)
    assert answer.statuses[""].status == 2 and answer.statuses["line"].status == 1


def test_a_watcher_hears_of_each_change_once(server: Running) -> None:
    watch = server.channel.unary_stream(
        "/grpc.health.v1.Health/Watch", response_deserializer=health_pb2.HealthCheckResponse.FromString
    )(health_pb2.HealthCheckRequest().SerializeToString(), timeout=10)
    assert next(watch).status == 1
    server.in_loop(server.models.changed.set)  # nothing that the watcher asked for
    server.in_loop(lambda: (setattr(server.models, "is_ready", False), server.models.changed.set()))
    assert next(watch).status == 2
    watch.cancel()


@pytest.mark.parametrize("messages", [reflection_v1_pb2, reflection_v1alpha_pb2])
def test_reflection_hands_out_what_a_client_needs_to_call(server: Running, messages: Any) -> None:
    package = messages.DESCRIPTOR.package
    asking: queue.SimpleQueue[Any] = queue.SimpleQueue()
    answers = server.channel.stream_stream(
        f"/{package}.ServerReflection/ServerReflectionInfo",
        request_serializer=messages.ServerReflectionRequest.SerializeToString,
        response_deserializer=messages.ServerReflectionResponse.FromString,
    )(iter(asking.get, None), timeout=10)
    asking.put(messages.ServerReflectionRequest(list_services=""))
    names = [one.name for one in next(answers).list_services_response.service]
    assert "tensorflow.serving.PredictionService" in names and "inference.GRPCInferenceService" in names
    asking.put(messages.ServerReflectionRequest(file_containing_symbol="tensorflow.serving.PredictionService.Predict"))
    files = next(answers).file_descriptor_response.file_descriptor_proto
    assert len(files) == 5  # its own, TensorFlow's two, and protobuf's any and wrappers
    asking.put(messages.ServerReflectionRequest(file_containing_symbol="no.Such"))
    assert next(answers).error_response.error_code == 5
    asking.put(None)
    assert list(answers) == []
