"""How many rows a batch should hold, from what batches of each size cost.

A greater batch is worth it only while a row gets cheaper by it: beyond, everybody in it waits for the whole. So the smallest size is
taken whose cost per row is within a few percent of the best, and now and then, when enough waits, another size is tried, for costs
change.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

TOLERANCE = 0.03
"""A row may cost so much more than at the best size."""
SHORT_SECONDS = 0.005
"""Nobody gains by a batch that is smaller than what is computed in this time."""
EXPLORE_EVERY = 64
"""Batches between two of another size than the chosen one."""
_MEMORY = 16
"""Measurements of a size that count."""
_GREATEST_SURPRISE = 3.0
_CHOOSE_EVERY = 8


class Tuner:
    """Chooses among the allowed sizes, or among the powers of two up to the greatest.

    Args:
        greatest: rows of a batch at most; what is taken until two sizes are known.
        allowed: the sizes that may be computed; empty for any.
        latency_seconds: only sizes that take at most so long, or the smallest; 0 for no limit.
        measured: seconds by rows from the warm-up.
    """

    def __init__(
        self,
        greatest: int,
        allowed: Sequence[int] = (),
        *,
        latency_seconds: float = 0.0,
        measured: Mapping[int, float] | None = None,
    ) -> None:
        self.rows = greatest
        """What a batch should hold at most."""
        self._sizes = list(allowed) or [*_powers_below(greatest), greatest]
        self._latency = latency_seconds
        self._per_row: dict[int, float] = {}
        self._times: dict[int, int] = {}
        self._batches = 0
        self._explored = self._learned = 0
        for rows, seconds in sorted((measured or {}).items()):
            self.learn(rows, seconds)

    @property
    def costs(self) -> Mapping[int, float]:
        """Seconds per row by size, of those that were measured."""
        return self._per_row

    def next_rows(self, waiting: int) -> int:
        """The rows that the next batch may hold."""
        if waiting <= self.rows and self.rows != self._sizes[-1]:
            return self.rows
        self._batches += 1
        if self._batches % EXPLORE_EVERY:
            return self.rows
        others = [size for size in self._sizes if size != self.rows and size <= waiting]
        if not others:
            return self.rows
        self._explored += 1
        return others[self._explored % len(others)]

    def learn(self, rows: int, seconds: float) -> None:
        """Take note of a batch. Sizes that lie far below a candidate say nothing of it."""
        size = self._sizes[bisect_left(self._sizes, rows)] if rows <= self._sizes[-1] else 0
        if rows * 4 <= size * 3 or not size:
            return
        cost, before = seconds / rows, self._per_row.get(size)
        times = self._times[size] = min(self._times.get(size, 0) + 1, _MEMORY)
        if before is not None:
            share = 0.5 if cost * 2 < before else 1 / times  # nothing is fast by accident
            cost = before + (min(cost, _GREATEST_SURPRISE * before) - before) * share
        self._per_row[size] = cost
        if before is None or times < _MEMORY or not self._learned % _CHOOSE_EVERY:
            self._choose()
        self._learned += 1

    def _choose(self) -> None:
        known = {size: cost for size, cost in self._per_row.items() if self._is_soon_enough(size, cost)}
        best = min(known.values(), default=0.0)
        fit = [size for size, cost in known.items() if cost <= best * (1 + TOLERANCE)]
        if self.rows in fit:  # a smaller one must be clearly as good, or noise would make the size jump
            fit = [size for size in fit if size >= self.rows or known[size] <= best * (1 + TOLERANCE / 2)]
        long = [size for size in fit if size * known[size] >= SHORT_SECONDS]
        chosen = min(long) if long else max(fit, default=self._sizes[0])
        # Of the greatest that traffic has brought so far nobody knows that a greater one is no better: leave it open.
        self.rows = self._sizes[-1] if chosen == max(self._per_row) else chosen

    def _is_soon_enough(self, size: int, cost: float) -> bool:
        return not self._latency or size == self._sizes[0] or size * cost <= self._latency


def _powers_below(greatest: int) -> list[int]:
    return [1 << power for power in range((greatest - 1).bit_length())]
