"""grpc.health.v1, for the whole server (the empty name), each service, and each model by its name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any

from serving.grpc.calls import parse
from serving.grpc.protos import health_pb2
from serving.interface import Code, Models, StatusError

_Status = health_pb2.HealthCheckResponse


class Health:
    def __init__(self, models: Models, services: Collection[str]) -> None:
        self._models = models
        self._services = services

    def _status(self, name: str) -> Any:
        if not name or name in self._services:
            return _Status.SERVING if self._models.is_ready else _Status.NOT_SERVING
        known = self._models.statuses(name)
        if not known:
            return _Status.SERVICE_UNKNOWN
        return _Status.SERVING if any(one.state == "AVAILABLE" for one in known) else _Status.NOT_SERVING

    async def check(self, request: health_pb2.HealthCheckRequest, _: float | None) -> health_pb2.HealthCheckResponse:
        status = self._status(request.service)
        if status == _Status.SERVICE_UNKNOWN:
            raise StatusError(Code.NOT_FOUND, f"unknown service {request.service!r}")
        return _Status(status=status)

    async def list_all(self, _: health_pb2.HealthListRequest, __: float | None) -> health_pb2.HealthListResponse:
        answer = health_pb2.HealthListResponse()
        for name in ("", *self._services, *self._models.names()):
            answer.statuses[name].status = self._status(name)
        return answer

    async def watch(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The status now, then each time it is another one."""
        name = parse(health_pb2.HealthCheckRequest, await anext(requests)).service
        told = None
        while True:
            status = self._status(name)
            if status != told:
                told = status
                yield _Status(status=status).SerializeToString()
            await self._models.wait_for_change()
