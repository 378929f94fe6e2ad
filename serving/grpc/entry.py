"""Where gRPC comes in: on a port of its own, on a UNIX socket, and on HTTP's port by its first bytes.

What carries it is loaded with the first connection that speaks it, unless it has a port: protobuf takes 10 MB of a worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

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
        self._is_accepting = False

    @property
    def connections(self) -> int:
        return self._wire.connections if self._wire is not None else 0

    @property
    def in_flight(self) -> int:
        return self._wire.in_flight if self._wire is not None else 0

    async def open(self) -> None:
        """Take connections where gRPC has a place of its own."""
        if self._listening is not None:
            await self._made()
            self._listening.setblocking(False)
            self._resume()
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
        if self._listening is not None:
            while self._accept():
                pass
            self._pause()
            self._listening.close()
            self._listening = None
        if self._unix is not None:
            self._unix.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        return await self._wire.drain(seconds) if self._wire is not None else True

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

    # the port

    def _resume(self) -> None:
        if self._listening is not None and not self._is_accepting:
            self._is_accepting = True
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def _pause(self) -> None:
        if self._listening is not None and self._is_accepting:
            self._is_accepting = False
            self._loop.remove_reader(self._listening.fileno())

    def _accept(self) -> bool:
        assert self._listening is not None
        try:
            client, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError:
            # Out of file descriptors or memory: leave the newcomer in the backlog and look again later.
            self._pause()
            self._loop.call_later(0.5, self._resume)
            return False
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._later(self._connect(client))
        return True

    async def _connect(self, client: socket.socket) -> None:
        assert self._wire is not None
        try:
            if self._tls is None:
                await self._loop.connect_accepted_socket(self._wire.connection, client)
                return
            await self._loop.connect_accepted_socket(
                self._wire.connection,
                client,
                ssl=self._tls.context,
                ssl_handshake_timeout=self._options.limits.header_seconds,
            )
        except OSError:
            with contextlib.suppress(OSError):
                client.close()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _load() -> None:
    import serving.grpc.wire.service  # noqa: F401  # some 0.1 s: in a thread, so that nobody waits
