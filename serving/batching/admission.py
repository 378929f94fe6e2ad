"""Whether a request should wait at all.

Three limits. What waits may not grow beyond rows, bytes and seconds. A request that would not be computed within its own deadline is
refused at once, by what batches were measured to cost. And where more comes than can be computed for long, a long queue only makes
everybody wait: so from `burst_requests` waiting requests on the model counts as overloaded, and only as many rows wait as the next
batch needs to be worth its fixed cost. What waits beyond that is refused then, the oldest first, who have waited in vain the longest;
the others keep their order. (Newest first would answer some fast for ever at the cost of others that came before them.)

It counts as overloaded until a queue into which all came that is offered, refused or not, and that is emptied as fast as the model can,
would have fallen by half (a virtual queue: Kunniyur and Srikant, "Analysis and design of an adaptive virtual queue", SIGCOMM 2001).
"""

from __future__ import annotations

import math

from serving.batching.cost import CostModel
from serving.batching.jobs import Reason, ShedError
from serving.batching.options import BatchOptions
from serving.batching.pending import Pending


class Admission:
    """Judges requests in the event loop; what it knows of the batch under way is written by the thread that computes.

    Args:
        cost: seconds of a whole turn: batch, delivery, and what the thread waited for.
    """

    def __init__(self, options: BatchOptions, cost: CostModel, pending: Pending) -> None:
        self._options = options
        self._cost = cost
        self._pending = pending
        self.limit = options.max_batch_rows
        """Rows of a batch at present."""
        self.running_rows = 0
        self.running_since = 0.0
        self.is_overloaded = False
        self._virtual_rows = 0.0
        self._greatest_virtual_rows = 0.0
        self._rows_per_request = 1.0
        self._looked = 0.0

    def refusal(self, rows: int, size: int, now: float, deadline: float | None) -> ShedError | None:
        """Why a request is not taken; None if it is."""
        pending = self._pending
        if not pending.count and not self.running_rows and not self.is_overloaded:
            return (
                None  # an idle model always takes a request, or a wrong estimate of its cost would never be put right
            )
        if self.is_overloaded:
            self._offer(rows, now)
        if pending.count:
            if pending.rows + rows > self._options.queue_rows or pending.size + size > self._options.queue_bytes:
                return self._shed("queue_full", now)
            if self.is_overloaded and pending.rows + rows > self.short_rows:
                return self._shed("overload", now)
        return self._too_slow(rows, now, deadline)

    def _too_slow(self, rows: int, now: float, deadline: float | None) -> ShedError | None:
        if not self._pending.count and (deadline is None or not self.running_rows):
            return None
        wait = self.wait_seconds(now)
        if wait > self._options.queue_seconds:
            return self._shed("queue_seconds", now)
        if deadline is not None and now + wait + self._own_seconds(rows) > deadline:
            return self._shed("deadline", now)
        return None

    def wait_seconds(self, now: float) -> float:
        """How long a request would wait that came now, as far as is known."""
        running = self.running_rows
        rest = max(0.0, self._cost.seconds(running) - (now - self.running_since)) if running else 0.0
        return rest + self._pending.rows * self._per_row

    @property
    def short_rows(self) -> int:
        """Rows that may wait while there is more than can be computed: as many as make the next batch worth its fixed cost."""
        return self._cost.knee(self.limit)

    def begin_overload(self, now: float) -> None:
        pending = self._pending
        self.is_overloaded = True
        self._virtual_rows = self._greatest_virtual_rows = float(pending.rows)
        self._rows_per_request = pending.rows / pending.count
        self._looked = now

    def retry_after(self, now: float) -> int:
        """Seconds until what waits will have been computed, or the overload be over, at least 1."""
        wait = self.wait_seconds(now)
        if self.is_overloaded:
            wait = max(wait, self._virtual_rows * self._per_row)
        return max(1, min(3600, math.ceil(wait)))

    @property
    def _per_row(self) -> float:
        return self._cost.seconds(self.limit) / self.limit

    def _own_seconds(self, rows: int) -> float:
        limit = self.limit
        return self._cost.seconds(rows) if rows <= limit else rows * self._per_row

    def _offer(self, rows: int, now: float) -> None:
        per_row = self._per_row
        done = (now - self._looked) / per_row if per_row else self._virtual_rows
        self._looked = now
        left = max(0.0, self._virtual_rows - done)
        if left < self._greatest_virtual_rows / 2:
            self.is_overloaded = False
        self._virtual_rows = min(left + (rows or self._rows_per_request), self._greatest_virtual_rows)

    def _shed(self, reason: Reason, now: float) -> ShedError:
        return ShedError(reason, self.retry_after(now))
