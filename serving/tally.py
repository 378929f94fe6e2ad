"""What a version did since it was loaded, as the Open Inference Protocol's statistics tell it. For one thread."""

from __future__ import annotations

import time
from collections import defaultdict

from serving.calls import Call
from serving.interface import BatchStatistics, Duration, Statistics


class _Sum:
    __slots__ = ("count", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds

    def duration(self) -> Duration:
        return Duration(self.count, round(self.seconds * 1e9))


class Tally:
    """Counts the calls of one version."""

    def __init__(self) -> None:
        self._success, self._fail, self._queue, self._parse, self._run, self._write = (_Sum() for _ in range(6))
        self._rows = 0
        self._last = 0
        self._by_size: defaultdict[int, _Sum] = defaultdict(_Sum)
        self._shares: defaultdict[int, float] = defaultdict(float)

    def add(self, call: Call) -> None:
        """Count a call that was answered; `status` is HTTP's or gRPC's, 200 and 0 are a success."""
        whole = call.answered - call.arrived
        if call.status not in (0, 200):
            self._fail.add(whole)
            return
        self._success.add(whole)
        self._rows += call.rows
        self._last = time.time_ns() // 1_000_000
        if call.computed:
            self._parse.add(call.parsed - call.arrived)
            self._queue.add(call.started - call.parsed)
            self._run.add(call.computed - call.started)
            self._write.add(call.answered - call.computed)
            self._count_batch(call)

    def _count_batch(self, call: Call) -> None:
        # A batch is told once for each of its requests; their rows together make it one.
        size = call.batch_rows or call.rows
        self._shares[size] += call.rows / size if size else 1.0
        one = self._by_size[size]
        one.seconds += (call.computed - call.gathered) * (call.rows / size if size else 1.0)
        one.count = round(self._shares[size])

    def statistics(self, name: str, version: int) -> Statistics:
        return Statistics(
            name=name,
            version=version,
            last_inference=self._last,
            rows=self._rows,
            batches=sum(one.count for one in self._by_size.values()),
            success=self._success.duration(),
            fail=self._fail.duration(),
            queue=self._queue.duration(),
            parse=self._parse.duration(),
            run=self._run.duration(),
            write=self._write.duration(),
            by_batch_size=[BatchStatistics(size, one.duration()) for size, one in sorted(self._by_size.items())],
        )
