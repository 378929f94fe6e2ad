"""Whether a request should wait at all.

Three limits. What waits may not grow beyond rows, bytes and seconds. A request that would not be computed within its own deadline is
refused at once, by what batches were measured to cost. And where more comes than can be computed for long, a long queue only makes
everybody wait: so from `burst_requests` waiting requests or `queue_seconds` of work on the model counts as overloaded, and only as many
rows wait as the next batch needs to be worth its fixed cost. What waits beyond that is refused then, the oldest first, who have waited
in vain the longest; the others keep their order. (Newest first would answer some fast for ever at the cost of others that came before
them.)

It counts as overloaded until a queue into which all came that is offered, refused or not, and that is emptied as fast as the model can,
would have fallen by half (a virtual queue: Kunniyur and Srikant, "Analysis and design of an adaptive virtual queue", SIGCOMM 2001).
"""

from __future__ import annotations

import math

from serving.batching.cost import CostModel
from serving.batching.jobs import Reason, ShedError
from serving.batching.options import BatchOptions
from serving.batching.pending import Pending

SHORT_SECONDS = 0.001
"""Work that may wait even so: requests come several in a turn of the loop."""
GREATEST_SHORT = 8.0
"""Batches that may wait while a little too much comes."""
GAPS = 64
"""Times between two requests that count for how much is offered."""
LOOK_EVERY = 16
"""Requests after which the short queue's length is found anew."""


class Admission:
    """Judges requests in the event loop; what it knows of the batch under way is written by the thread that computes.

    Args:
        cost: seconds of a whole turn: batch, delivery, and what the thread waited for.
        lanes: batches that are computed at once.
    """

    def __init__(self, options: BatchOptions, cost: CostModel, pending: Pending, lanes: int = 1) -> None:
        self._options = options
        self._lanes = lanes
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
        self._gap = 0.0
        self._looked = 0.0
        self.short_rows = options.max_batch_rows
        """Rows that may wait while the model is overloaded."""
        self._rows_per_second = 0.0
        self._offered = 0
        self._refused = 1

    def refusal(self, rows: int, size: int, now: float, deadline: float | None) -> ShedError | None:
        """Why a request is not taken; None if it is."""
        pending = self._pending
        if not pending.count and not self.running_rows and not self.is_overloaded:
            return (
                None  # an idle model always takes a request, or a wrong estimate of its cost would never be put right
            )
        if pending.count:
            if pending.rows + rows > self._options.queue_rows or pending.size + size > self._options.queue_bytes:
                return self._shed("queue_full", now)
            if self.is_overloaded and pending.rows + rows > self.short_rows:
                return ShedError("overload", self._refused)
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
        return rest + self._pending.rows * self._per_row / self._lanes

    def begin_overload(self, now: float) -> None:
        pending = self._pending
        self.is_overloaded = True
        self._virtual_rows = self._greatest_virtual_rows = float(pending.rows)
        self._rows_per_request = pending.rows / pending.count
        self._looked = now
        self._gap = 0.0
        self._offered = 0
        self._look_again()

    def offer(self, rows: int, now: float) -> None:
        """Take note of a request while the model is overloaded, taken or not, once each; 0 rows for as many as others had."""
        self._offered += 1
        if not self._offered % LOOK_EVERY:
            self._look_again()
        gap = now - self._looked
        self._gap += (gap - self._gap) / GAPS
        self._looked = now
        left = self._virtual_rows - gap * self._rows_per_second
        if left < self._greatest_virtual_rows / 2:
            self.is_overloaded = False
        left += rows or self._rows_per_request
        self._virtual_rows = left if left < self._greatest_virtual_rows else self._greatest_virtual_rows

    def _look_again(self) -> None:
        """As many rows may wait as make the next batch worth its fixed cost.

        More where only a little too much comes, for then chance would leave the model idle now and again.
        """
        per_row = self._per_row / self._lanes
        surplus = per_row * self._rows_per_request - self._gap
        batches = min(GREATEST_SHORT, self._gap / surplus) if surplus > 0 else GREATEST_SHORT
        self._rows_per_second = 1 / per_row if per_row else 1e9
        least = min(self.limit, int(SHORT_SECONDS * self._rows_per_second))
        self.short_rows = max(least, int(self._cost.knee(self.limit) * max(1.0, batches))) * self._lanes
        self._refused = self.retry_after(self._looked)

    def retry_after(self, now: float) -> int:
        """Seconds until what waits will have been computed, or the overload be over, at least 1."""
        wait = self.wait_seconds(now)
        if self.is_overloaded:
            wait = max(wait, self._virtual_rows * self._per_row / self._lanes)
        return max(1, min(3600, math.ceil(wait)))

    @property
    def _per_row(self) -> float:
        """What a row costs in full batches, of one lane [s]."""
        return self._cost.seconds(self.limit) / self.limit

    def _own_seconds(self, rows: int) -> float:
        limit = self.limit
        return self._cost.seconds(rows) if rows <= limit else rows * self._per_row

    def _shed(self, reason: Reason, now: float) -> ShedError:
        return ShedError(reason, self.retry_after(now))
