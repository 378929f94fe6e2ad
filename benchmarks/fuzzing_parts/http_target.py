"""Malformed HTTP into the real connections, routes, models and batchers, without sockets."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.fuzzing_parts import arithmetic, seeds, smuggling
from benchmarks.fuzzing_parts.answers import Answer, WrongError
from benchmarks.fuzzing_parts.connections import Client, Front
from benchmarks.fuzzing_parts.mutations import spoil
from benchmarks.fuzzing_parts.requests import mutate
from benchmarks.fuzzing_parts.seeds import CHECKS_NOTHING, Seed
from benchmarks.fuzzing_parts.served import Served
from serving.batching.options import BatchOptions
from serving.options import Limits, WorkerOptions

AT_ONCE = 48
PER_SENTINEL = 8
COMPARED = 4
MOST_FAILURES = 20
"""Of so many connections one is read by h11, too."""
OPTIONS = WorkerOptions(
    endpoint="",
    threads=1,
    limits=Limits(body_bytes=2 * 1024 * 1024),
    batching=BatchOptions(queue_rows=100_000, max_batch_rows=16, queue_seconds=300.0),
)
_PREFACES = [
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PRI",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\r\n\r\n",
    b"\x00" * 20,
    b"GET /\r\n",
]


@dataclass(frozen=True)
class Case:
    """What one client does."""

    pieces: Sequence[bytes]
    ends: str
    """`waits`, `shuts` its sending side, `leaves` in the midst, `hurries` away once all is sent, or `sleeps` instead of reading."""
    rng: random.Random

    @property
    def stream(self) -> bytes:
        return b"".join(self.pieces)


@dataclass
class Tally:
    """What came of it."""

    connections: int = 0
    requests: int = 0
    compared: int = 0
    checked: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


class Http:
    """
    Args:
        folder: for the models' files.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._seeds = seeds.all_seeds()
        self._golden: list[bytes] = []
        self.tally = Tally()

    def run(self, count: int, *, first: int = 0, until: float = float("inf")) -> Tally:
        """Try the cases from `first` on, so many, or until a time by `time.monotonic`; less after MOST_FAILURES."""
        with np.errstate(over="ignore"):  # as a worker has it
            asyncio.run(self._run(count, first, until))
        return self.tally

    async def _run(self, count: int, first: int, until: float) -> None:
        loop = asyncio.get_running_loop()
        self._served = Served(self._folder, OPTIONS, loop)
        self._front = Front(OPTIONS.limits, self._served.routes.handle, loop)
        try:
            await self._remember()
            for start in range(first, first + count, AT_ONCE):
                if time.monotonic() >= until or len(self.tally.failures) >= MOST_FAILURES:
                    break
                await self._batch(range(start, min(start + AT_ONCE, first + count)))
        finally:
            self._front.close()
            self._served.close()
            self.tally.statuses = self._front.statuses

    async def _remember(self) -> None:
        for seed in self._seeds:
            answer = await self._ask(seed)
            if seed.body not in (None, CHECKS_NOTHING, answer.plain):
                raise WrongError(f"{seed.message.target!r}: {answer.plain!r}, expected {seed.body!r}")
            self._golden.append(answer.plain)

    async def _ask(self, seed: Seed) -> Answer:
        client = Client(self._front, asyncio.get_running_loop())
        await client.send([seed.message.raw()])
        await client.settle()
        (answer,) = client.check(is_cut=False)
        if answer.status != seed.status:
            raise WrongError(f"{seed.message.target!r}: {answer.status} {answer.body[:300]!r}, expected {seed.status}")
        await client.end()
        return answer

    async def _sentinel(self, rng: random.Random) -> None:
        """A request that is right, on a connection of its own, beside those that are not."""
        number = rng.randrange(len(self._seeds))
        answer = await self._ask(self._seeds[number])
        if self._seeds[number].body is not CHECKS_NOTHING and answer.plain != self._golden[number]:
            raise WrongError(
                f"{self._seeds[number].message.target!r}: now {answer.plain[:300]!r}, before {self._golden[number][:300]!r}"
            )

    async def _batch(self, numbers: range) -> None:
        work = [self._told(number) for number in numbers]
        work += [self._sentinel(random.Random(f"{self._seed}/{n}")) for n in numbers if n % PER_SENTINEL == 0]
        results = await asyncio.gather(*work, return_exceptions=True)
        failures = self.tally.failures
        failures += [str(one) or repr(one) for one in results if isinstance(one, BaseException)]
        some = f"one of http:{numbers.start} to http:{numbers.stop - 1} --seed {self._seed}"
        failures += [f"{some}: {one}" for one in self._served.errors]
        self._served.errors.clear()
        if self._front.listener.connections and not failures:
            failures.append(f"{some}: {self._front.listener.connections} connections are kept")

    async def _told(self, number: int) -> None:
        case = self.case(number)
        try:
            await self._try(case, is_compared=number % COMPARED == 0)
        except Exception as problem:
            stream = case.stream
            raise WrongError(
                f"http:{number} --seed {self._seed}, client {case.ends}: {type(problem).__name__}: {problem}\n"
                f"{stream[:1500]!r} ({len(stream)} bytes in {len(case.pieces)} pieces)"
            ) from problem

    async def _try(self, case: Case, *, is_compared: bool) -> None:
        client = Client(self._front, asyncio.get_running_loop(), holds=case.ends == "sleeps")
        pieces = list(case.pieces)
        if case.ends == "leaves":
            pieces = pieces[: case.rng.randrange(len(pieces) + 1)]
        await client.send(pieces, case.rng)
        if case.ends in ("leaves", "hurries"):
            client.transport.reset()
            client.check(is_cut=True)
        else:
            if case.ends == "shuts" and not client.transport.is_closing() and not client.connection.eof_received():
                client.transport.close()
            await client.settle()
            answers = client.check(is_cut=False)
            self.tally.checked += arithmetic.check(client.seen, answers)
            await client.end()
            if is_compared:
                self.tally.compared += smuggling.compare(case.stream, client.seen)
        self.tally.connections += 1
        self.tally.requests += len(client.seen)

    def case(self, number: int) -> Case:
        """Always the same for a seed and a number."""
        rng = random.Random(f"{self._seed}/http/{number}")
        stream = self._stream(rng)
        ends = rng.choices(("waits", "shuts", "leaves", "hurries", "sleeps"), (70, 10, 8, 7, 5))[0]
        return Case(_cut(stream, rng), ends, rng)

    def _stream(self, rng: random.Random) -> bytes:
        parts = []
        for _ in range(rng.choice((1, 1, 1, 1, 2, 3, 5))):
            message = rng.choice(self._seeds).message
            parts.append(message.raw() if rng.random() < 0.1 else mutate(message, rng).raw())
        stream = b"".join(parts)
        choice = rng.random()
        if choice < 0.08:
            stream = spoil(stream, rng)
        elif choice < 0.1:
            stream = rng.choice(_PREFACES) + stream
        return stream


def _cut(stream: bytes, rng: random.Random) -> list[bytes]:
    """As pieces in which a network might bring it."""
    choice = rng.random()
    if choice < 0.6:
        sizes = [65_536]
    elif choice < 0.9 or len(stream) > 1500:
        sizes = [len(stream) // 3 + 1, 1 + rng.randrange(200), 1460, 65_536]
    else:
        sizes = [1]
    pieces, at = [], 0
    while at < len(stream):
        size = rng.choice(sizes)
        pieces.append(stream[at : at + size])
        at += size
    return pieces
