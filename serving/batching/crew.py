"""Several threads on one queue, for a model that computes in several places at once: each has another batch."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from serving.backends.base import Backend
from serving.batching.batcher import Batcher
from serving.batching.counts import Counts
from serving.batching.gate import Gate
from serving.batching.jobs import Job, Outcome
from serving.batching.options import BatchOptions


def open_batcher(
    backend: Backend,
    options: BatchOptions,
    *,
    loop: asyncio.AbstractEventLoop,
    measured: Mapping[int, float] | None = None,
    gate: Gate | None = None,
) -> Batcher:
    """A queue for a model with as many threads as it says. More than one wait for other machines most of the time, so that they take no
    turns with the models of this one."""
    if backend.concurrency > 1:
        return Crew(backend, options, loop=loop, measured=measured)
    return Batcher(backend, options, loop=loop, measured=measured, gate=gate)


@dataclass(slots=True, eq=False)
class SharedCounts(Counts):
    """Written by several threads that compute."""

    lock: threading.Lock = field(default_factory=threading.Lock)

    def ran(self, rows: int, padding_rows: int, seconds: float) -> None:
        with self.lock:
            Counts.ran(self, rows, padding_rows, seconds)


class Crew(Batcher):
    """As many batches under way as the backend has `concurrency`.

    What waits is divided among the threads, or one batch would take everything, come back as the next one, and leave the other places
    idle; but not into batches so small that their fixed cost shows.
    """

    def __init__(
        self,
        backend: Backend,
        options: BatchOptions | None = None,
        *,
        loop: asyncio.AbstractEventLoop,
        measured: Mapping[int, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lanes = backend.concurrency
        self._idle = 0
        """Threads that wait for work."""
        self._under_way: dict[int, tuple[list[Job], float]] = {}
        """By thread, its batch and when that was taken."""
        self._rows_under_way = 0
        self._learning = threading.Lock()
        super().__init__(
            backend, options, loop=loop, measured=measured, clock=clock, counts=SharedCounts(), lanes=self._lanes
        )

    def _start(self) -> None:
        self._work_comes = threading.Condition(self._lock)
        self._wake = self._ring
        self._left = self._lanes
        self._threads = [threading.Thread(target=self._work, name="batcher", daemon=True) for _ in range(self._lanes)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _ring(self) -> None:
        with self._lock:
            self._work_comes.notify()

    def _work(self) -> None:
        while self._wait():
            self.turn()
        with self._lock:
            self._left -= 1
            is_last = not self._left
        if is_last:
            self._backend.close()

    def _wait(self) -> bool:
        """Until there is something to compute. False: never again."""
        with self._lock:
            while (seconds := self._rest()) != 0.0:
                if seconds == -1.0:
                    self._work_comes.notify_all()
                    return False
                self._idle += 1
                self._work_comes.wait(seconds)
                self._idle -= 1
            return True

    # what the engine asks

    def expected_seconds(self) -> float:
        return self._cost.seconds(self._share(min(self._pending.rows, self.batch_rows)))

    def _share(self, limit: int) -> int:
        outstanding = self._pending.rows + self._rows_under_way
        return min(limit, max(math.ceil(outstanding / self._lanes), self._cost.knee(limit)))

    def _begin(self, batch: list[Job], now: float) -> None:
        if batch:
            self._under_way[threading.get_ident()] = batch, now
            self._rows_under_way += sum([job.rows for job in batch])
        if self._idle:
            self._wakes_at = 0  # whoever is idle is woken by the next request
            if self._pending.count:
                self._work_comes.notify()
        self._tell_admission()

    def _end(self) -> None:
        with self._lock:
            batch, _ = self._under_way.pop(threading.get_ident())
            self._rows_under_way -= sum([job.rows for job in batch])
            self._tell_admission()

    def _tell_admission(self) -> None:
        """Whoever comes now waits for nobody while a thread is free, else for the batch that was taken first."""
        under_way = self._under_way.values()
        self._running = [job for batch, _ in under_way for job in batch]
        admission = self._admission
        admission.limit = self.batch_rows
        admission.running_rows = 0
        if len(under_way) == self._lanes:
            first, admission.running_since = min(under_way, key=lambda one: one[1])
            admission.running_rows = sum([job.rows for job in first])

    def _learn(self, batch: list[Job], outcomes: list[Outcome], limit: int) -> None:
        with self._learning:
            super()._learn(batch, outcomes, limit)

    def _since(self, first: Job, before: float) -> float:
        return first.started
