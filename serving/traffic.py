"""How many requests there were, how many failed and how long they took: counted by workers, summed up by the supervisor.

Counted are requests below /v1/, whoever sent them; health checks are not. An error is any answer of 500 and above, as load balancers
count it: a replica that drains still answers what it was asked, so that its end adds none. A request whose client left before the
answer counts with the time until then, for a client that gave up is a sign of slowness.
"""

from __future__ import annotations

import math
from bisect import bisect_left

import msgspec

_LEAST_MS = 0.5
_STEPS_PER_DOUBLING = 4
BOUNDS_MS = tuple(_LEAST_MS * 2 ** (step / _STEPS_PER_DOUBLING) for step in range(84))
"""Upper bounds of the buckets: 0.5 ms to about 15 minutes."""


class Traffic(msgspec.Struct):
    """Counts since somebody last took them.

    Args:
        errors: answers of 500 and above.
        shed: answers of 429.
        refused: other answers of 400 to 498.
        buckets: requests by how long they took; the last is beyond all bounds.
    """

    count: int = 0
    errors: int = 0
    shed: int = 0
    refused: int = 0
    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))

    def add(self, status: int, seconds: float) -> None:
        self.count += 1
        if status >= 500:
            self.errors += 1
        elif status == 429:
            self.shed += 1
        elif 400 <= status < 499:
            self.refused += 1
        self.buckets[bisect_left(BOUNDS_MS, seconds * 1000)] += 1

    def merge(self, other: Traffic) -> None:
        self.count += other.count
        self.errors += other.errors
        self.shed += other.shed
        self.refused += other.refused
        for at, more in enumerate(other.buckets):
            self.buckets[at] += more

    def percentile_ms(self, percent: float) -> float:
        """The upper bound of the bucket that holds it: never less than the true value, and at most 19 % more (2 ** 1/4)
        between the bounds. Of what took longer than all bounds it is the greatest one.
        """
        wanted, seen = math.ceil(self.count * percent / 100), 0
        for bound, held in zip(BOUNDS_MS, self.buckets, strict=False):
            seen += held
            if seen >= wanted:
                return round(bound, 2)
        return round(BOUNDS_MS[-1], 2)
