"""What the statistics extension of the Open Inference Protocol is told."""

from __future__ import annotations

import time

import pytest

from serving.batching.jobs import ShedError
from serving.batching.options import BatchOptions
from serving.interface import BatchStatistics, Duration
from tests.serving.batching.engines import Bench

MS = 1_000_000


def about(duration: Duration) -> tuple[int, int]:
    return duration.count, round(duration.ns / MS)


def test_requests_batches_and_times_are_told_apart() -> None:
    bench = Bench(BatchOptions(max_batch_rows=4, queue_rows=8, tune=False), lambda rows: 0.010 * rows)
    bench.submit(1)
    bench.turn()
    for _ in range(3):
        bench.submit(1)
    bench.submit(1, 2, 3)
    late = bench.submit(1, seconds=0.08)
    with pytest.raises(ShedError):
        bench.submit(*range(4))
    bench.pass_time(0.09)
    bench.finish()
    bench.submit(-1)
    bench.finish()
    found = bench.engine.counts.statistics("digits", 3)
    assert (found.name, found.version, found.rows, found.batches) == ("digits", 3, 7, 3)
    assert abs(found.last_inference - time.time() * 1000) < 60_000
    assert about(found.success) == (5, 10 + 3 * 120 + 150)  # 90 ms in the queue; the second batch behind the first
    assert about(found.queue) == (5, 3 * 90 + 120)
    assert about(found.run) == (5, 10 + 4 * 30)  # as long as the batch of each took
    assert about(found.fail) == (3, 90 + 10)  # late, refused at once, refused by the model
    assert [(one.size, *about(one.run)) for one in found.by_batch_size] == [(1, 1, 10), (3, 2, 60)]
    assert isinstance(found.by_batch_size[0], BatchStatistics)
    assert late in bench.outcomes


def test_what_the_front_end_measured_stands_beside_it() -> None:
    found = Bench().engine.counts.statistics("a", 1, parse=Duration(2, 5), write=Duration(3, 6))
    assert (found.parse, found.write, found.last_inference) == (Duration(2, 5), Duration(3, 6), 0)
