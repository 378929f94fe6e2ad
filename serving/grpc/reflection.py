"""Server reflection, v1 and v1alpha: what grpcurl and other clients ask before they have a `.proto` file.

https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from types import ModuleType
from typing import Any

from serving.grpc.calls import parse
from serving.grpc.protos.pool import POOL
from serving.interface import Code


class Reflection:
    """
    Args:
        messages: reflection_v1_pb2 or reflection_v1alpha_pb2, which differ by their package only.
    """

    def __init__(self, messages: ModuleType, services: Collection[str]) -> None:
        self._messages: Any = messages
        self._services = services

    async def info(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for raw in requests:
            yield self._answer(parse(self._messages.ServerReflectionRequest, raw)).SerializeToString()

    def _answer(self, request: Any) -> Any:
        answer = self._messages.ServerReflectionResponse(valid_host=request.host, original_request=request)
        asked = request.WhichOneof("message_request")
        if asked == "list_services":
            for name in sorted(self._services):
                answer.list_services_response.service.add(name=name)
            return answer
        try:
            file = _find(asked, request)
        except KeyError:
            answer.error_response.error_code = int(Code.NOT_FOUND)
            answer.error_response.error_message = "not found"
            return answer
        answer.file_descriptor_response.file_descriptor_proto.extend(_with_imports(file))
        return answer


def _find(asked: str | None, request: Any) -> Any:
    if asked == "file_by_filename":
        return POOL.FindFileByName(request.file_by_filename)
    if asked == "file_containing_symbol":
        return _file_of(request.file_containing_symbol)
    raise KeyError(asked)  # extensions: proto3 has none


def _file_of(symbol: str) -> Any:
    try:
        return POOL.FindFileContainingSymbol(symbol)
    except KeyError:
        service, _, _ = symbol.rpartition(".")  # a method is asked for by its full name too
        return POOL.FindServiceByName(service).file


def _with_imports(file: Any) -> list[bytes]:
    found: dict[str, bytes] = {}
    waiting = [file]
    while waiting:
        one = waiting.pop()
        if one.name not in found:
            found[one.name] = one.serialized_pb
            waiting.extend(one.dependencies)
    return list(found.values())
