"""One line of the log for the requests of a minute: what alarms on errors and slowness of a replica are made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from serving import log
from serving.traffic import Traffic


class Summary:
    """Writes an event `requests` where there were any: `count`, `errors` and `shed` of them, `p95_ms` and `p99_ms` by the upper bounds
    of buckets (serving/traffic.py), and over how many `seconds`.

    Args:
        take: the counts since it was last called.
        clock: seconds, of any beginning.
    """

    def __init__(
        self,
        endpoint: str,
        replica: str,
        take: Callable[[], Traffic],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint, self._replica, self._take, self._clock = endpoint, replica, take, clock
        self._since = clock()

    async def run(self, seconds: float) -> None:
        """Write every so many seconds; with 0 only what `write` is called for."""
        while seconds > 0:
            await asyncio.sleep(seconds)
            self.write()

    def write(self) -> None:
        since, self._since = self._since, self._clock()
        traffic = self._take()
        if traffic.count:
            log.event(
                "requests",
                endpoint=self._endpoint,
                replica=self._replica,
                count=traffic.count,
                errors=traffic.errors,
                shed=traffic.shed,
                p95_ms=traffic.percentile_ms(95),
                p99_ms=traffic.percentile_ms(99),
                seconds=round(self._since - since, 1),
            )
