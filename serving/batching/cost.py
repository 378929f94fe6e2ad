"""What a batch costs, learned from those that were computed: seconds = a + b * rows."""

from __future__ import annotations

import math
from collections.abc import Mapping

DECAY = 0.98
"""What is left of a batch's weight after each further one: about the last fifty count."""
GREATEST_SURPRISE = 4.0
"""A batch counts as at most so many times what was expected: one pause of the machine must not refuse requests for seconds."""
KNEE = 0.95


class CostModel:
    """A straight line by least squares whose old points fade. Neither part is ever negative."""

    def __init__(self, measured: Mapping[int, float] | None = None) -> None:
        self.fixed = 0.0
        """Of a batch, whatever it holds: a [s]."""
        self.per_row = 0.0
        """b [s]."""
        self._is_steepness_known = False
        self._weight = self._n = self._nn = self._t = self._nt = 0.0
        for rows, seconds in (measured or {}).items():
            self.learn(rows, seconds)

    @property
    def is_known(self) -> bool:
        return self._weight > 0

    def seconds(self, rows: int) -> float:
        """What a batch of so many rows takes; 0 while nothing is known."""
        return self.fixed + self.per_row * rows

    def learn(self, rows: int, seconds: float) -> None:
        if self._weight:
            seconds = min(seconds, GREATEST_SURPRISE * self.seconds(rows) + 1e-6)
        self._weight = self._weight * DECAY + 1
        self._n = self._n * DECAY + rows
        self._nn = self._nn * DECAY + rows * rows
        self._t = self._t * DECAY + seconds
        self._nt = self._nt * DECAY + rows * seconds
        self._fit()

    def knee(self, limit: int) -> int:
        """The fewest rows that, computed together again and again, give 95 % of the throughput of `limit` rows."""
        if not self._is_steepness_known:
            return limit
        spare = self.seconds(limit) / limit / KNEE - self.per_row
        return max(1, min(limit, math.ceil(self.fixed / spare))) if spare > 0 else 1

    def _fit(self) -> None:
        mean_n, mean_t = self._n / self._weight, self._t / self._weight
        variance = self._nn / self._weight - mean_n * mean_n
        if variance > 0.01 * mean_n * mean_n:
            covariance = self._nt / self._weight - mean_n * mean_t
            self._is_steepness_known = True
            self.per_row = min(max(covariance / variance, 0.0), mean_t / mean_n)
            self.fixed = mean_t - self.per_row * mean_n
            return
        # All batches are about as great: where the line lies is known, not how steep it is. Keep what share was fixed.
        share = self.fixed / self.seconds(round(mean_n)) if self.seconds(round(mean_n)) else 0.0
        self.fixed = share * mean_t
        self.per_row = (mean_t - self.fixed) / mean_n
