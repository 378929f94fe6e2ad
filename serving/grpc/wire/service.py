"""The gRPC services of one worker, for connections that others accept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from serving.grpc.calls import Told
from serving.grpc.front import Front
from serving.grpc.methods import MAX_MESSAGE_BYTES, Method, methods
from serving.grpc.wire import blocks
from serving.grpc.wire.carrying import Carrier
from serving.grpc.wire.connection import Connection
from serving.grpc.wire.heads import Head, Heads
from serving.interface import Code, Models
from serving.options import Limits

SWEEP_SECONDS = 0.5
MOST_STREAMS = 1024
"""Calls of one connection at the same time. Clients keep more back until others are answered."""
_HELD_MESSAGES, _LEAST_HELD = 4, 64 << 20


class Wire:
    """Connections that speak HTTP/2. Lives in the event loop's thread.

    Args:
        limits: `header_bytes`, the times and `connections` count here, too.
        front: what every call passes; left out, everybody may ask and nobody is told.
        as_content: Predict answers carry `tensor_content` rather than typed fields.
        most_message: of a request, inflated [bytes]; -1 for no limit. Answers have none.
        most_streams: calls of one connection at the same time.

    Attributes:
        now: by the loop's clock, as of the last look at all connections [s]: for what need not be exact.
        most_held: parts of messages that one connection may have lying here [bytes].
        linger: how long a client may take to hear that we leave [s].
    """

    def __init__(
        self,
        models: Models,
        front: Front | None = None,
        *,
        loop: asyncio.AbstractEventLoop,
        limits: Limits | None = None,
        as_content: bool = False,
        most_message: int = MAX_MESSAGE_BYTES,
        most_streams: int = MOST_STREAMS,
    ) -> None:
        self.front = front or Front()
        self.limits = limits or Limits()
        self.most_message = most_message
        self.most_streams = most_streams
        self.most_held = max(_LEAST_HELD, _HELD_MESSAGES * most_message) if most_message >= 0 else -1
        self.linger = 0.3
        self.heads = Heads(_by_path(methods(models, as_content=as_content)))
        self.carrier = Carrier(self.front, loop, most_message)
        told = Told(Code.RESOURCE_EXHAUSTED, f"headers are greater than {self.limits.header_bytes} bytes", None)
        self.too_many_headers = Head(None, blocks.refused(431, told), {}, waits=True)
        self.loop = loop
        self._connections: set[Connection] = set()
        self._is_draining = False
        self.now = loop.time()
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)

    @property
    def connections(self) -> int:
        return len(self._connections)

    @property
    def in_flight(self) -> int:
        """Calls that are not over, watches and conversations among them."""
        return sum(len(one.streams) for one in self._connections)

    def connection(self) -> Connection:
        """A protocol for a new connection, for `loop.create_server` and the like."""
        return Connection(self)

    def take(self, transport: asyncio.Transport, data: bytes) -> None:
        """Take over a connection whose first bytes were `data`. It is nobody else's any more."""
        made = Connection(self)
        transport.set_protocol(made)
        made.connection_made(transport)
        made.data_received(data)

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self._is_draining or len(self._connections) > self.limits.connections:
            self.loop.call_soon(connection.drain)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    async def drain(self, seconds: float) -> bool:
        """End every connection after the calls that are under way; a watch or a conversation ends at once.

        Args:
            seconds: how long those may take; what is left then is cut off.

        Returns:
            Whether all ended by themselves.
        """
        self._is_draining = True
        for connection in list(self._connections):
            connection.drain()
        now = self.loop.time()
        ends, leaves = now + seconds, now + min(self.linger, seconds)
        while self._connections and self.loop.time() < ends:
            await asyncio.sleep(0.02)
            if self.loop.time() >= leaves:
                for connection in list(self._connections):
                    connection.leave()
            for connection in list(self._connections):
                connection.end_streams()
        is_all = not self._connections
        self.close()
        while self._connections:
            for connection in list(self._connections):
                connection.abort()
            await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next turn
        return is_all

    def close(self) -> None:
        """End what is left."""
        self._timer.cancel()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.abort()

    def _sweep(self) -> None:
        self.now = self.loop.time()
        for connection in list(self._connections):
            connection.sweep(self.now)
        self._timer = self.loop.call_later(SWEEP_SECONDS, self._sweep)


def _by_path(services: Mapping[str, Mapping[str, Method]]) -> dict[bytes, Method]:
    return {f"/{service}/{name}".encode(): one for service, table in services.items() for name, one in table.items()}
