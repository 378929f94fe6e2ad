"""The batcher without its thread: what is asked of it from the event loop, and the turns that its thread takes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from serving.backends.base import Backend
from serving.batching import joining
from serving.batching.admission import Admission
from serving.batching.computing import Computer
from serving.batching.cost import CostModel
from serving.batching.counts import Counts
from serving.batching.jobs import Job, LateError, Outcome, ShedError
from serving.batching.options import BatchOptions
from serving.batching.pending import Pending
from serving.batching.tuning import Tuner

NEVER = float("inf")
SWEEP_SECONDS = 0.005
"""Between two looks at what is late: an answer 504 comes that much late at most."""


class Loop(Protocol):
    """What is used of an `asyncio.AbstractEventLoop`."""

    def call_soon(self, callback: Callable[..., object], *args: Any) -> object: ...
    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any) -> object: ...
    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Any: ...
    def call_exception_handler(self, context: dict[str, Any]) -> None: ...


class Engine:
    """Every job ends once: answered, failed, late, shed, or cancelled; settling is done in the event loop alone.

    Args:
        measured: seconds by rows of batches, from the warm-up.
        wake: is called when work has come for a thread that waits.
        counts: where what was done is counted.
        lanes: batches that are computed at once.
    """

    def __init__(
        self,
        backend: Backend,
        options: BatchOptions,
        loop: Loop,
        *,
        measured: Mapping[int, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wake: Callable[[], None] = lambda: None,
        counts: Counts | None = None,
        lanes: int = 1,
    ) -> None:
        self.counts = counts if counts is not None else Counts()
        self.options = options
        self._loop = loop
        self._clock = clock
        self._wake = wake
        self._wakes_at: float = NEVER
        """Rows that must wait for the thread to be woken; NEVER while it works."""
        self._lock = threading.Lock()
        self._pending = Pending()
        self._cost = CostModel(measured)
        self._tuner = Tuner(
            options.max_batch_rows, options.allowed_rows, latency_seconds=options.latency_seconds, measured=measured
        )
        self._admission = Admission(options, self._cost, self._pending, lanes)
        self._computer = Computer(backend, options, self.counts, clock)
        self._burst, self._queue_seconds = options.burst_requests, options.queue_seconds
        self._running: Sequence[Job] = ()
        self._ended = 0.0
        self._is_closing = self._is_ended = False
        self._due = NEVER
        self._timer: Any = None

    # from the event loop

    @property
    def waiting_rows(self) -> int:
        return self._pending.rows

    @property
    def waiting_requests(self) -> int:
        return self._pending.count

    @property
    def is_overloaded(self) -> bool:
        """Whether more came than can be computed, so that only a short queue is kept."""
        return self._admission.is_overloaded

    @property
    def batch_rows(self) -> int:
        """What a batch holds at most, as measured cost says."""
        return self._tuner.rows if self.options.tune else self.options.max_batch_rows

    def wait_seconds(self) -> float:
        """How long a request that came now would wait, as far as is known."""
        return self._admission.wait_seconds(self._clock())

    def admit(self, rows: int = 0, size: int = 0, deadline: float | None = None) -> ShedError | None:
        """Ask before a request is read whether it would be refused: that saves reading it. `submit` asks again.

        Args:
            rows: as far as they are known; 0 for as many as others had.
            size: bytes of its inputs, likewise.
        """
        if not self._pending.count and not self._admission.is_overloaded and deadline is None:
            return None
        now = self._clock()
        refused = self._admission.refusal(rows or 1, size, now, deadline)
        if refused is not None:
            if self._admission.is_overloaded:
                self._admission.offer(rows, now)
            self._note(refused)
        return refused

    def submit(self, job: Job) -> None:
        """Queue a job; `job.done` is called in the event loop, later.

        Raises:
            ShedError: a `QueueFullError`: too much waits already. It says when to try again.
        """
        now = job.submitted = self._clock()
        deadline = job.deadline
        self.counts.submitted += 1
        job.size = sum([value.nbytes for value in job.inputs.values()])
        if self.options.pad_variable and job.key is not None:
            job.key = _ragged_key(job)
        if deadline is not None and deadline <= now:
            self._loop.call_soon(self._settle, job, LateError())
            return
        with self._lock:
            refused = self._refusal(job, now)
            if refused is None:
                self._pending.add(job)
                must_wake = self._pending.rows >= self._wakes_at
                if must_wake:
                    self._wakes_at = NEVER
        if refused is not None:
            job.is_settled = True
            self._note(refused)
            raise refused
        if must_wake:
            self._loop.call_soon(self._wake)
        if self._pending.count >= self._burst and not self._admission.is_overloaded:
            self._begin_overload()
        latest = now + self._queue_seconds
        due = latest if deadline is None or deadline > latest else deadline
        if due < self._due:
            self._arm(due, now)

    def cancel(self, job: Job) -> None:
        """Nobody waits for it any more: it is not computed unless it is being computed already. `done` is not called."""
        if job.is_settled:
            return
        job.is_settled = job.is_cancelled = True
        job.done = _told
        self.counts.cancelled += 1
        with self._lock:
            self._pending.drop(job)

    def close(self) -> None:
        """Compute what is queued, then end. Returns at once. A job that is submitted after the end is refused as `closed`."""
        with self._lock:
            self._is_closing = True
            self._wakes_at = NEVER
        self._wake()

    def _refusal(self, job: Job, now: float) -> ShedError | None:
        if self._is_ended:
            return ShedError("closed", 1)
        if self._admission.is_overloaded:
            self._admission.offer(job.rows, now)
        return self._admission.refusal(job.rows, job.size, now, job.deadline)

    def _note(self, refused: ShedError) -> None:
        self.counts.refused(refused.reason)
        if refused.reason == "queue_seconds" and self._pending.count and not self._admission.is_overloaded:
            self._begin_overload()

    def _begin_overload(self) -> None:
        now = self._clock()
        with self._lock:
            self._admission.begin_overload(now)
            gone = self._pending.shed_to(self._admission.short_rows)
        refusal = ShedError("overload", self._admission.retry_after(now))
        self._loop.call_soon(self._finish, gone, [refusal] * len(gone))

    def _arm(self, due: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_later(max(0.0, due - now) + 0.001, self._sweep)

    def _sweep(self) -> None:
        """Tell those whose time is over, be they waiting or computed."""
        now = self._clock()
        self._due, self._timer = NEVER, None
        with self._lock:
            gone = self._pending.expired(lambda job: self._is_over(job, now))
            running = [job for job in self._running if job.deadline is not None and not job.is_settled]
            due = self._pending.first_due(self._queue_seconds)
        for job in gone:
            self._settle(job, self._why_over(job, now))
        for job in running:
            if job.deadline is not None and job.deadline <= now:
                self._settle(job, LateError(is_computing=True))
            elif job.deadline is not None:
                due = min(due, job.deadline)
        if due < self._due:
            self._arm(max(due, now + SWEEP_SECONDS), now)

    def _is_over(self, job: Job, now: float) -> bool:
        deadline = job.deadline
        return now - job.submitted >= self._queue_seconds or (deadline is not None and deadline <= now)

    def _why_over(self, job: Job, now: float) -> LateError | ShedError:
        if job.deadline is not None and job.deadline <= now:
            return LateError()
        return ShedError("queue_seconds", self._admission.retry_after(now))

    def _finish(self, batch: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Tell a batch, in one turn of the loop."""
        answered: list[Job] = []
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.is_settled:
                continue
            if isinstance(outcome, dict):
                job.is_settled = True
                answered.append(job)
                self._tell(job, outcome)
            else:
                self._settle(job, outcome)
        if answered:
            self._count(answered)

    def _count(self, answered: list[Job]) -> None:
        now = self._clock()
        if answered[0].batch_rows >= sum([job.rows for job in answered]):
            self.counts.answered(answered, now)
            return
        for job in answered:  # each was computed alone
            self.counts.answered([job], now)

    def _settle(self, job: Job, outcome: Outcome) -> None:
        if job.is_settled:
            return
        job.is_settled = True
        self.counts.ended(job, outcome, self._clock())
        self._tell(job, outcome)

    def _tell(self, job: Job, outcome: Outcome) -> None:
        try:
            job.done(outcome)
        except Exception as error:  # the others of its batch must be told all the same
            self._loop.call_exception_handler({"message": "an answer could not be given", "exception": error})
        job.done = _told  # else it and what it calls would hold each other until the garbage collector comes

    # from the thread

    def rest(self) -> float | None:
        """What the thread should do: 0 to take a turn, seconds to sleep or be woken before, None to sleep until then, -1 to end."""
        with self._lock:
            return self._rest()

    def _rest(self) -> float | None:
        oldest = self._pending.oldest()
        if oldest is None:
            self._is_ended = self._is_closing
            self._wakes_at = 0
            return -1.0 if self._is_ended else None
        delay = self.options.max_delay_seconds
        if delay and not self._is_closing and self._pending.rows < self.batch_rows:
            seconds = oldest.submitted + delay - self._clock()
            if seconds > 0:
                self._wakes_at = self.batch_rows
                return seconds
        self._wakes_at = NEVER
        return 0.0

    def expected_seconds(self) -> float:
        """What the next batch will take, as far as is known."""
        return self._cost.seconds(min(self._pending.rows, self.batch_rows))

    def turn(self) -> bool:
        """Compute a batch and hand its outcomes over. False if nothing waited."""
        batch, limit, started = self._take()
        if not batch:
            return False
        outcomes = self._computer.compute(batch, limit, started)
        self._end()
        self._post(batch, outcomes)
        self._learn(batch, outcomes, limit)  # while the loop wakes up
        return True

    def _take(self) -> tuple[list[Job], int, float]:
        gone: list[Job] = []
        batch: list[Job] = []
        pending, options = self._pending, self.options
        with self._lock:
            now = self._clock()
            limit = self._tuner.next_rows(pending.rows) if options.tune else options.max_batch_rows
            oldest_kept = now - self._queue_seconds
            while not batch and (oldest := pending.oldest()) is not None:
                if oldest.size * limit > options.batch_bytes * oldest.rows:
                    limit = max(1, options.batch_bytes * oldest.rows // oldest.size)
                taken = pending.take(self._share(limit), self._computer.can_share)
                batch = [
                    job for job in taken if (job.deadline is None or job.deadline > now) and job.submitted > oldest_kept
                ]
                if len(batch) != len(taken):
                    kept = set(batch)
                    gone += [job for job in taken if job not in kept]
            self._begin(batch, now)
        if gone:
            self._post(gone, [self._why_over(job, now) for job in gone])
        return batch, limit, now

    def _share(self, limit: int) -> int:
        """How many of `limit` rows a batch may take of what waits."""
        return limit

    def _begin(self, batch: list[Job], now: float) -> None:
        """A batch was taken. The lock is held."""
        self._running = batch
        admission = self._admission
        admission.limit = self.batch_rows
        admission.running_rows = sum([job.rows for job in batch])
        admission.running_since = now

    def _end(self) -> None:
        """This thread's batch was computed. The lock is not held."""
        self._running = ()
        self._admission.running_rows = 0

    def _learn(self, batch: list[Job], outcomes: list[Outcome], limit: int) -> None:
        now, before, options, first = self._clock(), self._ended, self.options, batch[0]
        self._ended = now
        for outcome in outcomes:
            if not isinstance(outcome, dict):
                return  # a refusal costs less, and neighbours that were computed alone more
        seconds = now - self._since(first, before)
        rows = first.batch_rows
        if rows > limit:
            rows, seconds = limit, seconds * limit / rows
        with self._lock:
            self._cost.learn(rows, seconds)
        if options.tune:
            self._tuner.learn(joining.allowed(rows, options.allowed_rows) if options.allowed_rows else rows, seconds)

    def _since(self, first: Job, before: float) -> float:
        """When a batch's time began, for its cost: where there was work since the end of the batch before, all that a turn costs
        counts, not the model alone."""
        is_busy = first.submitted <= before and not self.options.max_delay_seconds
        return before if is_busy else first.started

    def _post(self, batch: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending and nobody listens
            self._loop.call_soon_threadsafe(self._finish, batch, outcomes)


def _ragged_key(job: Job) -> tuple[object, ...]:
    return (job.signature, *((name, value.ndim, value.dtype.str) for name, value in sorted(job.inputs.items())))


def _told(outcome: Outcome) -> None:
    """It was told already."""
