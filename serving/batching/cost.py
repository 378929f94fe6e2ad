"""What a batch costs, learned from those that were computed: seconds = a + b * rows."""

from __future__ import annotations

import math
from collections.abc import Mapping

DECAY = 0.98
"""What is left of a batch's weight after each further one: about the last fifty count."""
GREATEST_SURPRISE = 4.0
"""A batch counts as at most so many times what was expected: one pause of the machine must not refuse requests for seconds."""
KNEE = 0.94
"""What a batch of the short queue keeps of the throughput, at least, while more comes than can be computed."""
FIT_EVERY = 8
"""Batches between two fits where nobody asks."""


class CostModel:
    """A straight line by least squares whose old points fade. Neither part is ever negative."""

    def __init__(self, measured: Mapping[int, float] | None = None) -> None:
        self._fixed = self._per_row = 0.0
        self._unfitted = 0
        self._is_steepness_known = False
        self._weight = self._n = self._nn = self._t = self._nt = 0.0
        for rows, seconds in (measured or {}).items():
            self.learn(rows, seconds)

    @property
    def is_known(self) -> bool:
        return self._weight > 0

    def seconds(self, rows: int) -> float:
        """What a batch of so many rows takes; 0 while nothing is known."""
        if self._unfitted:
            self._fit()
        return self._fixed + self._per_row * rows

    def learn(self, rows: int, seconds: float) -> None:
        decay = DECAY
        if self._weight:
            expected = self._fixed + self._per_row * rows
            if seconds > GREATEST_SURPRISE * expected + 1e-6:
                seconds = GREATEST_SURPRISE * expected + 1e-6
            elif seconds * GREATEST_SURPRISE < expected:
                decay = (
                    0.5  # nothing is fast by accident: what is known is out of date, or was slow for being the first
                )
        self._weight = self._weight * decay + 1
        self._n = self._n * decay + rows
        self._nn = self._nn * decay + rows * rows
        self._t = self._t * decay + seconds
        self._nt = self._nt * decay + rows * seconds
        self._unfitted += 1
        if self._unfitted >= FIT_EVERY or self._weight < FIT_EVERY:
            self._fit()

    def knee(self, limit: int) -> int:
        """The fewest rows that, computed together again and again, give 94 % of the throughput of `limit` rows."""
        if not self._is_steepness_known:
            return limit
        spare = self.seconds(limit) / limit / KNEE - self._per_row
        return max(1, min(limit, math.ceil(self._fixed / spare))) if spare > 0 else 1

    def _fit(self) -> None:
        self._unfitted = 0
        mean_n, mean_t = self._n / self._weight, self._t / self._weight
        variance = self._nn / self._weight - mean_n * mean_n
        if variance > 0.01 * mean_n * mean_n:
            covariance = self._nt / self._weight - mean_n * mean_t
            self._is_steepness_known = True
            self._per_row = min(max(covariance / variance, 0.0), mean_t / mean_n)
            self._fixed = mean_t - self._per_row * mean_n
            return
        # All batches are about as great: where the line lies is known, not how steep it is. Keep what share was fixed.
        before = self._fixed + self._per_row * mean_n
        self._fixed = self._fixed / before * mean_t if before else 0.0
        self._per_row = (mean_t - self._fixed) / mean_n
