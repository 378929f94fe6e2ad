"""gRPC on the port of HTTP: a connection that begins as HTTP/2 is handed on to the worker's gRPC server, byte by byte.

A port for gRPC alone (`--grpc-port`) is faster, for nothing is copied there. This is for services that give a server one port, and for
clients that know only one. Encrypted connections speak HTTP/1.1 here: browsers would else be told of an HTTP/2 that only speaks gRPC.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""With which every HTTP/2 connection begins (RFC 9113, section 3.4)."""


def begins_http2(data: bytes) -> bool:
    """Whether the first bytes of a connection are HTTP/2's; the preface may come in pieces, its method `PRI` is nobody else's."""
    return data[:4] == PREFACE[: len(data[:4])] and len(data) >= 3


class _Half(asyncio.Protocol):
    """One side: what it receives is written to the other."""

    def __init__(self, other: asyncio.Transport | None, ended: Callable[[], None]) -> None:
        self.transport: asyncio.Transport | None = None
        self.other = other
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.write(data)

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.resume_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and not self.other.is_closing():
            self.other.close()
        self._ended()


class Relay:
    """Hands connections on to the socket `path`. Lives in the event loop's thread.

    Args:
        start: makes sure that somebody listens there.
    """

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop, start: Callable[[], Awaitable[None]]) -> None:
        self._path = path
        self._start = start
        self._loop = loop
        self._open: set[asyncio.Transport] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        return len(self._open)

    def take(self, transport: asyncio.Transport, data: bytes) -> None:
        """Hand a client's connection on, whose first bytes were `data`. It is nobody else's any more."""
        transport.pause_reading()
        self._open.add(transport)
        task = self._loop.create_task(self._join(transport, data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, transport: asyncio.Transport, data: bytes) -> None:
        front = _Half(None, lambda: self._open.discard(transport))
        front.connection_made(transport)
        try:
            await self._start()
            inner, _ = await self._loop.create_unix_connection(lambda: _Half(transport, lambda: None), self._path)
        except (OSError, RuntimeError):  # what gRPC raises where it cannot listen
            transport.abort()
            self._open.discard(transport)
            return
        front.other = inner
        transport.set_protocol(front)
        if transport.is_closing():
            inner.close()
            self._open.discard(transport)
            return
        inner.write(data)
        transport.resume_reading()

    def close(self) -> None:
        """End what is left."""
        for transport in list(self._open):
            transport.close()
