"""Odd clients of a real server, while others go on asking."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmarks.fuzzing_parts import odd_clients
from benchmarks.fuzzing_parts.http_target import Http
from benchmarks.fuzzing_parts.odd_clients import ACTS, Act, check_statuses, line
from benchmarks.fuzzing_parts.real_server import CONNECTIONS, IDLE_SECONDS, WORKERS, RealServer

T = TypeVar("T")
AT_ONCE = 24
MOST_FAILURES = 10
MOST_SECONDS = 60.0
"""For one exchange, on a machine that others use too."""
MOST_GROWTH = 64 * 1024 * 1024
LEFT_DESCRIPTORS = 12
"""More than before: a worker's gRPC starts with the first client that speaks HTTP/2, and opens seven."""
_MUTATED = 60
"""Of a hundred: the mutated requests of the target `http`; the others are of ACTS."""


@dataclass
class Exchanged:
    exchanges: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    """Of the requests of others meanwhile [s]."""
    held_before: list[tuple[int, int]] = field(default_factory=list)
    held_after: list[tuple[int, int]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Sockets:
    def __init__(self, folder: Path, seed: int) -> None:
        self._seed = seed
        self._http = Http(folder, seed)
        self._server = RealServer(folder)
        self.done = Exchanged()

    def run(self, count: int, *, first: int = 0, until: float = float("inf")) -> Exchanged:
        """So many exchanges, or until a time by `time.monotonic`; the server is stopped then."""
        done = self.done
        try:
            asyncio.run(self._run(range(first, first + 50), float("inf")))  # so that all is loaded that will be
            done.held_before = self._settled()
            asyncio.run(self._run(range(first, first + count), until))
            asyncio.run(self._many())
            self._server.check()
            done.held_after = self._settled()
            self._server.check_whole()
            self._compare()
        except Exception as problem:
            done.failures.append(f"{type(problem).__name__}: {problem}")
        finally:
            if (code := self._server.stop()) != 0:
                done.failures.append(f"the server ended with {code}")
        return done

    async def _run(self, numbers: range, until: float) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            async with gate:
                if time.monotonic() < until and len(self.done.failures) < MOST_FAILURES:
                    await self._one(number)

        await self._beside(asyncio.gather(*map(one, numbers)))

    async def _one(self, number: int) -> None:
        rng = random.Random(f"{self._seed}/sockets/{number}")
        act: Act = self._mutated
        if rng.randrange(100) >= _MUTATED:
            (act,) = rng.choices([act for act, _ in ACTS], [weight for _, weight in ACTS])
        try:
            async with asyncio.timeout(MOST_SECONDS):
                await act(self._server.port, rng)
        except Exception as problem:
            self.done.failures.append(
                f"sockets:{number} --seed {self._seed} {act.__name__}: {type(problem).__name__} {problem}"
            )
        self.done.exchanges += 1
        self.done.kinds[act.__name__.strip("_")] += 1

    async def _mutated(self, port: int, rng: random.Random) -> None:
        case = self._http.case(rng.randrange(10**9))
        async with line(port) as one:
            for piece in case.pieces[:40]:
                if not await one.send(piece):
                    break
            if case.ends == "hurries":
                one.reset()
                return
            if case.ends != "waits":
                one.shut()
                check_statuses(await one.rest(), case.stream)
            else:
                check_statuses(await one.some(0.3), case.stream)

    async def _many(self) -> None:
        """Many slow ones at once."""
        port = self._server.port
        rounds = [odd_clients.slow_headers, odd_clients.slow_bodies, odd_clients.silent, odd_clients.slow_readers]
        for act in rounds:
            count = await self._beside(act(port))
            self.done.exchanges += count
            self.done.kinds[act.__name__] += count
        count = await odd_clients.flood(port, CONNECTIONS * WORKERS + 100)
        self.done.exchanges += count
        self.done.kinds["flood"] += count

    async def _beside(self, work: Awaitable[T]) -> T:
        """Do it while somebody asks for predictions; each must be right, and soon."""
        doing = asyncio.ensure_future(work)
        while not doing.done():
            self.done.slowest = max(self.done.slowest, await asyncio.to_thread(self._server.check))
            await asyncio.wait([doing], timeout=0.1)
        return doing.result()

    def _settled(self) -> list[tuple[int, int]]:
        """What the workers hold once all connections have ended."""
        time.sleep(IDLE_SECONDS + 1)
        return self._server.held()

    def _compare(self) -> None:
        for before, after in zip(self.done.held_before, self.done.held_after, strict=True):
            if after[0] - before[0] > MOST_GROWTH:
                self.done.failures.append(f"a worker's memory grew from {before[0]:,} to {after[0]:,} bytes")
            if after[1] - before[1] > LEFT_DESCRIPTORS:
                self.done.failures.append(f"a worker has {after[1]} descriptors open, {before[1]} before")
