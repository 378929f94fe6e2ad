"""All services on one port, carried by the gRPC library."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from functools import cached_property
from typing import Any

import grpc  # type: ignore[import-untyped]
import grpc.aio  # type: ignore[import-untyped]

from serving.grpc.calls import parse, told
from serving.grpc.front import Front
from serving.grpc.methods import MAX_MESSAGE_BYTES, SERVICES, Method, Streaming, Unary, methods
from serving.guard import certificates
from serving.guard.certificates import Peer
from serving.interface import Models

__all__ = ["MAX_MESSAGE_BYTES", "SERVICES", "make_server"]

Context = Any  # grpc.aio.ServicerContext
Handler = Any  # grpc.RpcMethodHandler

_CODES = {code.value[0]: code for code in grpc.StatusCode}


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
    passed = front or Front()
    for service, table in methods(models, as_content=as_content).items():
        handlers = {name: _handler(method, passed) for name, method in table.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    return server


def _handler(method: Method, front: Front) -> Handler:
    if isinstance(method, Unary):
        return _unary(method, front)
    return _one_to_many(method) if method.takes_one else _many_to_many(method)


def _unary(method: Unary, front: Front) -> Handler:
    async def call(raw: bytes, context: Context) -> bytes:
        arrived = time.monotonic()
        try:
            message = parse(method.request, raw)
            return await front.pass_through(method.kind, message, _OfContext(context), method.answer, arrived, len(raw))
        except Exception as error:
            await _abort(context, error)
        raise AssertionError("abort returned")

    return grpc.unary_unary_rpc_method_handler(call)


def _one_to_many(method: Streaming) -> Handler:
    async def call(raw: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            async for one in method.answer(_only(raw)):
                yield one
        except Exception as error:
            await _abort(context, error)

    return grpc.unary_stream_rpc_method_handler(call)


def _many_to_many(method: Streaming) -> Handler:
    async def call(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        try:
            async for one in method.answer(requests):
                yield one
        except Exception as error:
            await _abort(context, error)

    return grpc.stream_stream_rpc_method_handler(call)


async def _only(raw: bytes) -> AsyncIterator[bytes]:
    yield raw


async def _abort(context: Context, error: Exception) -> None:
    """End a call with an error; always raises."""
    code, message, pushback = told(error)
    metadata = () if pushback is None else (("grpc-retry-pushback-ms", str(pushback)),)
    await context.abort(_CODES[int(code)], message, metadata)


class _OfContext:
    """What the library knows of who asks."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @cached_property
    def metadata(self) -> dict[bytes, bytes]:
        return {
            key.encode(): value if isinstance(value, bytes) else value.encode("latin-1", "replace")
            for key, value in self._context.invocation_metadata() or ()
        }

    @property
    def client(self) -> str:
        """gRPC names a peer `ipv4:127.0.0.1:50051`, an IPv6 one percent-encoded in brackets."""
        kind, _, rest = self._context.peer().partition(":")
        if kind not in ("ipv4", "ipv6"):
            return ""
        return str(rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]"))

    @property
    def certificate(self) -> Peer | None:
        return certificates.of_grpc(self._context.auth_context())

    @property
    def deadline(self) -> float | None:
        remaining = self._context.time_remaining()
        return None if remaining is None else time.monotonic() + remaining
