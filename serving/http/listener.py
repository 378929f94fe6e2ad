"""Takes connections from the socket that the supervisor opened, and looks after them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING

from serving.http.heads import Heads
from serving.http.messages import Exchange
from serving.http.protocol import Connection
from serving.options import Limits

if TYPE_CHECKING:
    from serving.guard.tls import Tls

SWEEP_SECONDS = 0.5


class Listener:
    """The connections of one worker.

    Workers share one listening socket: each takes one connection at a time, so that a busy worker leaves the next to an idle one.

    Args:
        handle: answers an exchange, now or later.
        answered: is told of each exchange with its status, once.
        tls: how connections are encrypted; None for not at all.
    """

    def __init__(
        self,
        limits: Limits,
        handle: Callable[[Exchange], None],
        loop: asyncio.AbstractEventLoop,
        answered: Callable[[Exchange, int], None] = lambda _, __: None,
        tls: Tls | None = None,
    ) -> None:
        self.limits = limits
        self.handle = handle
        self.answered = answered
        self.now = loop.time
        self.date_line = b""
        self._loop = loop
        self._tls = tls
        self.heads = Heads()
        self.http2: Callable[[asyncio.Transport, bytes], None] | None = None
        """Takes connections that speak HTTP/2, with their first bytes."""
        self._socket: socket.socket | None = None
        self._is_accepting = False
        self._connections: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._sweep()

    @property
    def connections(self) -> int:
        return len(self._connections)

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return sum(connection.under_way for connection in self._connections)

    def accept_from(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        self._socket = listening
        self._resume()

    def stop_accepting(self) -> None:
        """Take what is in the backlog still, then let the socket go."""
        if self._socket is None:
            return
        while self._accept():
            pass
        self._pause()
        self._socket.close()
        self._socket = None

    async def drain(self, seconds: float, linger: float = 0.3) -> bool:
        """End every connection after the request that is under way.

        Args:
            seconds: how long those may take; what is left then is cut off.
            linger: how long idle connections may still bring a request that was on its way [s].

        Returns:
            Whether all ended by themselves.
        """
        self.stop_accepting()
        for connection in list(self._connections):
            connection.drain()
        ends = self.now() + seconds
        idle_ends = self.now() + min(linger, seconds)
        while self._connections or self._opening:
            if self.now() >= idle_ends:
                for connection in list(self._connections):
                    connection.close_if_idle()
            if self.now() >= ends:
                break
            await asyncio.sleep(0.02)
        is_all = not self._connections
        while self._connections or self._opening:
            for connection in list(self._connections):
                connection.abort()
            await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next turn
        return is_all

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        if self._socket is None:
            connection.drain()
        elif len(self._connections) >= self.limits.connections:
            self._pause()

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self._socket is not None and len(self._connections) < self.limits.connections:
            self._resume()

    def _resume(self) -> None:
        if self._socket is not None and not self._is_accepting:
            self._is_accepting = True
            self._loop.add_reader(self._socket.fileno(), self._accept)

    def _pause(self) -> None:
        if self._socket is not None and self._is_accepting:
            self._is_accepting = False
            self._loop.remove_reader(self._socket.fileno())

    def _accept(self) -> bool:
        assert self._socket is not None
        try:
            client, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError:
            # Out of file descriptors or memory: leave the newcomer in the backlog and look again later.
            self._pause()
            self._loop.call_later(0.5, self._resume)
            return False
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._open(client))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return True

    async def _open(self, client: socket.socket) -> None:
        try:
            if self._tls is None:
                await self._loop.connect_accepted_socket(lambda: Connection(self), client)
                return
            await self._loop.connect_accepted_socket(
                lambda: Connection(self),
                client,
                ssl=self._tls.context,
                ssl_handshake_timeout=self.limits.header_seconds,
            )
        except OSError:  # TLS's errors are among them: whoever speaks none, or shows no certificate, is gone
            with contextlib.suppress(OSError):
                client.close()

    def _sweep(self) -> None:
        self.date_line = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        now = self.now()
        for connection in list(self._connections):
            if connection.deadline is not None and connection.deadline <= now:
                connection.expire()
        self._loop.call_later(SWEEP_SECONDS, self._sweep)
