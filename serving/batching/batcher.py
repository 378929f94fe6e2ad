"""A work-conserving batcher: its one thread takes what waits, up to so many rows, and never waits for more.

Alone, a request is computed at once; under load batches form by themselves while the one before is computed.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from serving.backends.base import Array, Backend, RunError

Outcome = dict[str, Array] | RunError
Done = Callable[[Outcome], None]


class QueueFullError(Exception):
    """So many rows wait already that this request was not taken."""


@dataclass(slots=True, eq=False)
class Job:
    """One request. `rows` counts against the queue; `key` is equal where requests may be computed together, None alone."""

    signature: str
    inputs: Mapping[str, Array]
    rows: int
    key: tuple[object, ...] | None
    done: Done
    deadline: float | None = None
    """By `time.monotonic`: past it nobody waits for the answer any more."""
    started: float = 0.0
    """When it was taken from the queue, by `time.monotonic`; `gathered` and `computed` as in `serving.calls.Call`."""
    gathered: float = 0.0
    computed: float = 0.0
    batch_rows: int = 0
    is_cancelled: bool = False


class Batcher:
    """Queue and thread of one loaded model. Everything but the thread's own work is called from the event loop.

    Args:
        backend: what computes; closed by the thread after the last job.
        max_batch_rows: computed at once.
        queue_rows: may wait; a single greater request is taken when nothing waits.
    """

    def __init__(
        self, backend: Backend, *, max_batch_rows: int, queue_rows: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._backend = backend
        self._max_batch_rows = max_batch_rows
        self._queue_rows = queue_rows
        self._loop = loop
        self._queue: deque[Job] = deque()
        self._waiting_rows = 0
        self._wake = threading.Condition()
        self._is_closing = False
        self._alone: set[str] = {name for name, one in backend.signatures.items() if not one.is_batched}
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    @property
    def waiting_rows(self) -> int:
        return self._waiting_rows

    def submit(self, job: Job) -> None:
        """Queue a job; `job.done` is called in the event loop.

        Raises:
            QueueFullError: try again later.
        """
        with self._wake:
            if self._queue and self._waiting_rows + job.rows > self._queue_rows:
                raise QueueFullError
            self._queue.append(job)
            self._waiting_rows += job.rows
            self._wake.notify()

    def cancel(self, job: Job) -> None:
        """Nobody waits for it any more: it is not computed unless it is being computed already."""
        with self._wake:
            job.is_cancelled = True
            if job in self._queue:
                self._queue.remove(job)
                self._waiting_rows -= job.rows

    def close(self) -> None:
        """Compute what is queued, then free the model. Returns at once."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()

    def join(self) -> None:
        """Wait until the model is freed, after `close`."""
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._is_closing:
                    self._wake.wait()
                if not self._queue:
                    break
                batch = self._take()
            outcomes = self._compute(batch)
            self._deliver(list(zip(batch, outcomes, strict=True)))
        self._backend.close()

    def _take(self) -> list[Job]:
        """The oldest job and those right behind it that can be computed with it."""
        first = self._queue.popleft()
        batch, rows = [first], first.rows
        can_share = first.key is not None and first.signature not in self._alone
        while can_share and self._queue and self._queue[0].key == first.key:
            if rows + self._queue[0].rows > self._max_batch_rows:
                break
            job = self._queue.popleft()
            batch.append(job)
            rows += job.rows
        self._waiting_rows -= rows
        return batch

    def _deliver(self, results: list[tuple[Job, Outcome]]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending and nobody listens
            self._loop.call_soon_threadsafe(_finish, results)

    def _compute(self, batch: list[Job]) -> list[Outcome]:
        if len(batch) == 1:
            return [self._compute_one(batch[0])]
        rows = sum(job.rows for job in batch)
        names = batch[0].inputs.keys()
        try:
            joined = {name: np.concatenate([job.inputs[name] for job in batch]) for name in names}
            outputs = self._run(batch[0].signature, joined)
        except RunError:
            return [self._compute_one(job) for job in batch]  # one bad request must not fail its neighbours
        if any(not value.ndim or len(value) != rows for value in outputs.values()):
            self._alone.add(batch[0].signature)  # it does not answer row by row, whatever its signature says
            return [self._compute_one(job) for job in batch]
        return list(_split(outputs, batch))

    def _compute_one(self, job: Job) -> Outcome:
        if job.is_cancelled:
            return RunError("cancelled", is_callers_fault=True)
        try:
            if job.rows <= self._max_batch_rows or job.key is None or job.signature in self._alone:
                return self._run(job.signature, job.inputs)
            return self._in_parts(job)
        except RunError as error:
            return error

    def _in_parts(self, job: Job) -> dict[str, Array]:
        size = self._max_batch_rows
        parts = []
        for start in range(0, job.rows, size):
            part = self._run(job.signature, {name: value[start : start + size] for name, value in job.inputs.items()})
            if any(not value.ndim or len(value) != min(size, job.rows - start) for value in part.values()):
                self._alone.add(job.signature)
                return self._run(job.signature, job.inputs)
            parts.append(part)
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        try:
            return self._backend.run(signature, inputs)
        except RunError:
            raise
        except Exception as error:  # the thread must outlive whatever a model does
            raise RunError(f"{type(error).__name__}: {error}", is_callers_fault=False) from error


def _split(outputs: dict[str, Array], batch: list[Job]) -> list[Outcome]:
    parts: list[Outcome] = []
    start = 0
    for job in batch:
        parts.append({name: value[start : start + job.rows] for name, value in outputs.items()})
        start += job.rows
    return parts


def _finish(results: list[tuple[Job, Outcome]]) -> None:
    for job, outcome in results:
        if not job.is_cancelled:
            job.done(outcome)
