"""Where gRPC comes in: on a port of its own, on a UNIX socket, and on HTTP's port by its first bytes.

What carries it is loaded with the first connection that speaks it, unless it has a port: protobuf takes 10 MB of a worker.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from serving.http.listener import Listener
from serving.http.messages import Exchange, error
from serving.options import WorkerOptions

if TYPE_CHECKING:
    from serving.grpc.front import Watching
    from serving.grpc.wire.service import Wire
    from serving.guard.guard import Guard
    from serving.guard.tls import Tls
    from serving.models import Models


class Entry:
    """The gRPC connections of one worker. Lives in the event loop's thread.

    Args:
        listening: the port for gRPC alone, which all workers share; None for none.
    """

    def __init__(
        self,
        models: Models,
        options: WorkerOptions,
        guard: Guard | None,
        watching: Watching,
        tls: Tls | None,
        listening: socket.socket | None,
    ) -> None:
        self._models, self._options, self._guard, self._watching, self._tls = models, options, guard, watching, tls
        self._listening = listening
        self._loop = asyncio.get_running_loop()
        self._wire: Wire | None = None
        self._making = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._unix: asyncio.Server | None = None
        self._port: Listener | None = None

    @property
    def connections(self) -> int:
        return self._wire.connections if self._wire is not None else 0

    @property
    def in_flight(self) -> int:
        return self._wire.in_flight if self._wire is not None else 0

    async def open(self) -> None:
        """Take connections where gRPC has a place of its own."""
        if self._listening is not None and self._port is None:
            await self._made()
            self._port = Listener(self._options.limits, _refuse_http, self._loop, tls=self._tls)
            self._port.http2 = self.take
            self._port.accept_from(self._listening)
        if self._options.grpc_socket and self._unix is None:
            wire = await self._made()
            self._unix = await self._loop.create_unix_server(wire.connection, self._options.grpc_socket)

    def take(self, transport: asyncio.Transport, data: bytes) -> None:
        """Take over a connection of HTTP's port whose first bytes were `data`."""
        if self._wire is not None:
            self._wire.take(transport, data)
            return
        transport.pause_reading()

        async def take() -> None:
            wire = await self._made()
            if not transport.is_closing():
                transport.resume_reading()
                wire.take(transport, data)

        self._later(take())

    async def drain(self, seconds: float) -> bool:
        """End every connection after the calls that are under way; whether all ended by themselves."""
        if self._port is not None:
            self._port.stop_accepting()
        if self._unix is not None:
            self._unix.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        ends = [self._wire.drain(seconds)] if self._wire is not None else []
        if self._port is not None:
            ends.append(self._port.drain(seconds))
        return all(await asyncio.gather(*ends))

    async def _made(self) -> Wire:
        async with self._making:
            if self._wire is None:
                await asyncio.to_thread(_load)
                from serving.grpc.front import Front
                from serving.grpc.wire.service import Wire

                options = self._options
                self._wire = Wire(
                    self._models,
                    Front(self._guard, self._watching, options.request_seconds),
                    loop=self._loop,
                    limits=options.limits,
                    as_content=options.tensor_content,
                    most_message=options.grpc_message_bytes or options.limits.body_bytes,
                    most_streams=options.grpc_streams,
                )
        return self._wire

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _refuse_http(exchange: Exchange) -> None:
    exchange.respond(error(400, "this port speaks gRPC, which is HTTP/2", closes=True))


def _load() -> None:
    import serving.grpc.wire.service  # noqa: F401  # some 0.1 s: in a thread, so that nobody waits
