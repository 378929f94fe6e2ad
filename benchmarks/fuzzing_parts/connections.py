"""One connection with a client that does odd things, in the event loop of the server."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.fuzzing_parts.answers import Answer, WrongError, check, read
from benchmarks.fuzzing_parts.transport import MemoryTransport
from serving.http.listener import Listener
from serving.http.messages import Exchange
from serving.http.protocol import Connection
from serving.options import Limits

MOST_SECONDS = 60.0
"""For a whole exchange, on a machine that others use too."""
MOST_AT_ONCE = 1.0
"""Of processor time, for what is done in the event loop with one piece of at most 64 KB [s]."""


@dataclass(frozen=True)
class Seen:
    """A request as the routes were handed it."""

    method: bytes
    target: bytes
    headers: Mapping[bytes, bytes]
    body: bytes


class Client:
    """
    Args:
        holds: whether it reads nothing of the answers at first.
    """

    def __init__(self, front: Front, loop: asyncio.AbstractEventLoop, *, holds: bool = False) -> None:
        self._front = front
        listener = front.listener
        self.seen: list[Seen] = []
        self.connection = Connection(listener)
        self.transport = MemoryTransport(self.connection, loop, holds=holds)
        self.connection.connection_made(self.transport)
        self.slowest = 0.0

    async def send(self, pieces: Sequence[bytes], rng: random.Random | None = None) -> None:
        """Hand over pieces as the server takes them."""
        for piece in pieces:
            while not self.transport.is_readable:
                if self.transport.is_closing():
                    return
                self.transport.take_all()
                await self._change()
            began = time.thread_time()
            self._front.feeding = self.seen
            self.connection.data_received(piece)
            self.slowest = max(self.slowest, time.thread_time() - began)
            if rng is not None and rng.random() < 0.2:
                await asyncio.sleep(0)
        if self.slowest > MOST_AT_ONCE:
            raise WrongError(f"the event loop was held for {self.slowest:.2f} s")

    async def settle(self) -> None:
        """Until all that was asked is answered."""
        while self.connection.under_way and not self.transport.is_closing():
            self.transport.take_all()
            await self._change()

    async def end(self) -> None:
        """Let time pass until the server closes: whatever is left open must have an end.

        Raises:
            WrongError: it stays open.
        """
        self.transport.take_all()
        for _ in range(4):
            if self.transport.is_closing():
                break
            if self.connection.deadline is None:
                raise WrongError("an open connection that waits for its client has no deadline")
            self.connection.expire()
        else:
            raise WrongError("a connection outlives its deadline")
        while not self.transport.is_lost:
            self.transport.take_all()
            await asyncio.sleep(0)

    async def _change(self) -> None:
        self.transport.changed.clear()
        if self.connection.under_way or not self.transport.is_readable:
            await asyncio.wait_for(self.transport.changed.wait(), MOST_SECONDS)

    def check(self, *, is_cut: bool) -> list[Answer]:
        """Each request one answer, in order, and at most one refusal behind them.

        Args:
            is_cut: the client left early: answers may be missing at the end.
        """
        answers = read(b"".join(self.transport.sent), [one.method for one in self.seen], is_cut=is_cut)
        asked, told = len(self.seen), len(answers)
        if told > asked + 1 or (told < asked and not is_cut):
            raise WrongError(f"{asked} requests, {told} answers")
        if told > asked and not answers[-1].closes:
            raise WrongError(f"an answer {answers[-1].status} to nothing leaves the connection open")
        for number, answer in enumerate(answers):
            if number < asked:
                check(answer, self.seen[number].method, self.seen[number].target)
            else:
                check(answer, b"", b"")
        return answers


class Front:
    """A listener without a socket, which notes what comes of each connection's bytes."""

    def __init__(self, limits: Limits, handle: Callable[[Exchange], None], loop: asyncio.AbstractEventLoop) -> None:
        self.feeding: list[Seen] = []
        self._handle = handle
        self.statuses: Counter[int] = Counter()
        self.listener = Listener(limits, self._note, loop, self._answered)
        self.listener.accept_from(socket.create_server(("127.0.0.1", 0)))  # one without a socket drains

    def close(self) -> None:
        self.listener.stop_accepting()

    def _note(self, exchange: Exchange) -> None:
        request = exchange.request
        self.feeding.append(Seen(request.method, request.target, dict(request.headers), bytes(request.body)))
        self._handle(exchange)

    def _answered(self, exchange: Exchange, status: int) -> None:
        self.statuses[status] += 1
