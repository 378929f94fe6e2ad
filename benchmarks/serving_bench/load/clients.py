"""Many connections in one thread over epoll: in a closed loop, or at a constant rate whatever the server does.

At a constant rate a request's time counts from the moment it was due, and a request that finds every connection busy is lost: a server
that stands still is not spared what it would have been asked meanwhile ("coordinated omission").
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.serving_bench.load.wire import BROKEN, Wire

IN, OUT = select.EPOLLIN, select.EPOLLOUT
GAVE_UP = 0
"""The status of a request whose client had no patience left."""
LOST = -2
"""The status of a request that found every connection busy."""
SWEEP_SECONDS = 0.05


@dataclass
class Seen:
    """What was answered within the measured time. `lags` are the waits between when a request was due and when it was sent [s]."""

    statuses: Counter[int] = field(default_factory=Counter)
    ended: array[float] = field(default_factory=lambda: array("d"))
    """By `time.monotonic`, of each request that was answered with 200; `took` is how long each took [s]."""
    took: array[float] = field(default_factory=lambda: array("d"))
    lags: array[float] = field(default_factory=lambda: array("d"))


class _Connection:
    __slots__ = ("began", "number", "socket", "unsent", "wire")

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.socket: socket.socket
        self.number = -1
        self.unsent: bytes | memoryview = b""
        self.began = 0.0


class Clients:
    """Connections to one port of this machine.

    Args:
        make: the protocol of a new connection.
        patience: how long a client waits for its answer; then it leaves, and another connection is made [s].
        heard: told of each answer: when it was due, when it ended, its status, the connection's protocol.
    """

    def __init__(
        self,
        port: int,
        make: Callable[[], Wire],
        connections: int,
        *,
        patience: float = 30.0,
        heard: Callable[[float, float, int, Wire], None] | None = None,
    ) -> None:
        self._port = port
        self._make = make
        self._patience = patience
        self._heard = heard
        self._poll = select.epoll()
        self._busy: dict[int, _Connection] = {}
        self._idle: deque[_Connection] = deque()
        self._counts_from = 0.0
        self.seen = Seen()
        for _ in range(connections):
            self._open()

    def closed_loop(self, seconds: float, warm: float = 0.0) -> Seen:
        """Ask on every connection as soon as it was answered."""
        now = time.monotonic()
        self._counts_from, ends, sweeps = now + warm, now + warm + seconds, now
        while now < ends:
            while self._idle:
                self._send(self._idle.popleft(), now)
            self._receive(0.05)
            now = time.monotonic()
            if now >= sweeps:
                self._leave(now)
                sweeps = now + SWEEP_SECONDS
        return self.seen

    def constant_rate(self, rate: float, seconds: float, warm: float = 0.0) -> Seen:
        """Ask so often a second, evenly; spins, so it needs a CPU of its own."""
        start = sweeps = now = time.monotonic()
        self._counts_from, ends = start + warm, start + warm + seconds
        number = 0
        while now < ends:
            while (due := start + number / rate) <= now:
                number += 1
                if self._idle:
                    self._send(self._idle.popleft(), due)
                elif due >= self._counts_from:
                    self.seen.statuses[LOST] += 1
                if due >= self._counts_from:
                    self.seen.lags.append(now - due)
            self._receive(0)
            now = time.monotonic()
            if now >= sweeps:
                self._leave(now)
                sweeps = now + SWEEP_SECONDS
        return self.seen

    def close(self) -> None:
        for connection in [*self._busy.values(), *self._idle]:
            connection.socket.close()
        self._poll.close()

    def _open(self) -> None:
        connection = _Connection(self._make())
        connection.socket = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        connection.socket.setblocking(False)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.number = connection.socket.fileno()
        self._poll.register(connection.number, IN)
        self._idle.append(connection)

    def _send(self, connection: _Connection, due: float) -> None:
        connection.began = due
        self._busy[connection.number] = connection
        request = connection.wire.request()
        if request is not None:
            self._write(connection, request)

    def _write(self, connection: _Connection, data: bytes | memoryview) -> None:
        if connection.unsent:
            connection.unsent = bytes(connection.unsent) + bytes(data)
            return
        try:
            sent = connection.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end(connection, BROKEN)
            return
        if sent < len(data):
            connection.unsent = memoryview(data)[sent:]
            self._poll.modify(connection.number, IN | OUT)

    def _receive(self, wait: float) -> None:
        for number, events in self._poll.poll(wait):
            connection = self._busy.get(number)
            if connection is None:
                self._hung_up(number)
                continue
            if events & OUT:
                self._write_rest(connection)
            if events & ~OUT:
                self._read(connection)

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        status = connection.wire.feed(data) if data else BROKEN
        if status is None:
            if owed := connection.wire.owed():
                self._write(connection, owed)
            return
        if status == BROKEN:
            self._end(connection, BROKEN)
            return
        del self._busy[connection.number]
        self._idle.append(connection)
        self._count(connection, status)

    def _write_rest(self, connection: _Connection) -> None:
        data, connection.unsent = connection.unsent, b""
        self._poll.modify(connection.number, IN)
        self._write(connection, data)

    def _count(self, connection: _Connection, status: int) -> None:
        now = time.monotonic()
        if now < self._counts_from:
            return
        self.seen.statuses[status] += 1
        if status == 200:
            self.seen.ended.append(now)
            self.seen.took.append(now - connection.began)
        if self._heard is not None:
            self._heard(connection.began, now, status, connection.wire)

    def _end(self, connection: _Connection, status: int) -> None:
        """Count the request, and replace the connection."""
        self._count(connection, status)
        self._busy.pop(connection.number, None)
        self._forget(connection)

    def _hung_up(self, number: int) -> None:
        """The server ended a connection that waited for nothing, or says what the protocol wants."""
        connection = next((one for one in self._idle if one.number == number), None)
        if connection is None:
            return
        data = b""
        with contextlib.suppress(OSError):
            data = connection.socket.recv(65536)
        if data:
            connection.wire.feed(data)
        else:
            self._idle.remove(connection)
            self._forget(connection)

    def _forget(self, connection: _Connection) -> None:
        with contextlib.suppress(OSError, KeyError):
            self._poll.unregister(connection.number)
        connection.socket.close()
        with contextlib.suppress(OSError):
            self._open()

    def _leave(self, now: float) -> None:
        """Give up what is older than a client's patience."""
        oldest = now - self._patience
        for connection in [one for one in self._busy.values() if one.began < oldest]:
            self._end(connection, GAVE_UP)
