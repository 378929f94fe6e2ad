"""What a batcher has done since it began."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from serving.batching.jobs import Job, LateError, Outcome, Reason, ShedError
from serving.interface import BatchStatistics, Duration, Statistics


@dataclass(slots=True, eq=False)
class Counts:
    """Every request that was given to `submit` is in one of `succeeded failed late cancelled shed`, or still under way.

    Those of requests are written by the event loop, those of batches by the thread; all may be read at any time.

    Args:
        late: their time was over before they were answered.
        shed: refused, or given up while they waited, by reason. Refusals by `admit` count too, though not as submitted.
        success_seconds: from `submit` to the outcome; `fail_seconds` likewise of those that failed or were late.
        queue_seconds: in the queue, of the successful; `gather_seconds` while their batch was put together, `run_seconds` computed.
        rows: that were computed; `padding_rows` those that were added to reach an allowed size.
        by_size: by rows of a run without padding: how often, and how long in all [s].
        last_batch: when the last one was computed [ms since 1970]; 0 for never.
    """

    submitted: int = 0
    succeeded: int = 0
    failed: int = 0
    late: int = 0
    cancelled: int = 0
    shed: dict[Reason, int] = field(default_factory=dict)
    success_seconds: float = 0.0
    fail_seconds: float = 0.0
    queue_seconds: float = 0.0
    gather_seconds: float = 0.0
    run_seconds: float = 0.0
    batches: int = 0
    rows: int = 0
    padding_rows: int = 0
    by_size: dict[int, tuple[int, float]] = field(default_factory=dict)
    last_batch: int = 0

    def ended(self, job: Job, outcome: Outcome, now: float) -> None:
        if not isinstance(outcome, Exception):
            self.answered([job], now)
        elif isinstance(outcome, ShedError):
            self.refused(outcome.reason)
        else:
            self.fail_seconds += now - job.submitted
            if isinstance(outcome, LateError):
                self.late += 1
            else:
                self.failed += 1

    def answered(self, batch: Sequence[Job], now: float) -> None:
        """All of them had their answer, from one run."""
        first, count = batch[0], len(batch)
        submitted = sum([job.submitted for job in batch])
        self.succeeded += count
        self.success_seconds += count * now - submitted
        self.queue_seconds += count * first.started - submitted
        self.gather_seconds += count * (first.gathered - first.started)
        self.run_seconds += count * (first.computed - first.gathered)

    def refused(self, reason: Reason) -> None:
        self.shed[reason] = self.shed.get(reason, 0) + 1

    def ran(self, rows: int, padding_rows: int, seconds: float) -> None:
        self.batches += 1
        self.rows += rows
        self.padding_rows += padding_rows
        times, before = self.by_size.get(rows, (0, 0.0))
        self.by_size[rows] = (times + 1, before + seconds)
        self.last_batch = time.time_ns() // 1_000_000

    def statistics(
        self, name: str, version: int, *, parse: Duration | None = None, write: Duration | None = None
    ) -> Statistics:
        """As the Open Inference Protocol's statistics extension asks, with what the front end measured beside it."""
        return Statistics(
            name=name,
            version=version,
            last_inference=self.last_batch,
            rows=self.rows,
            batches=self.batches,
            success=_duration(self.succeeded, self.success_seconds),
            fail=_duration(self.failed + self.late + sum(self.shed.values()), self.fail_seconds),
            queue=_duration(self.succeeded, self.queue_seconds),
            parse=parse or _duration(self.succeeded, self.gather_seconds),
            run=_duration(self.succeeded, self.run_seconds),
            write=write or Duration(self.succeeded, 0),
            by_batch_size=[
                BatchStatistics(size, _duration(times, seconds))
                for size, (times, seconds) in sorted(self.by_size.copy().items())
            ],
        )


def _duration(count: int, seconds: float) -> Duration:
    return Duration(count, int(seconds * 1e9))
