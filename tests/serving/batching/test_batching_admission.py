"""Who is refused, when, and what he is told."""

from __future__ import annotations

import timeit

import numpy as np
import pytest

from serving.batching.jobs import Job, LateError, QueueFullError, ShedError
from serving.batching.options import BatchOptions
from serving.interface import Code
from tests.serving.batching.engines import Bench

TEN_MS_A_ROW = {1: 0.010, 4: 0.040}


def bench(**options: float) -> Bench:
    return Bench(
        BatchOptions(**{"max_batch_rows": 4, "queue_rows": 100, "tune": False, **options}),  # type: ignore[arg-type]
        lambda rows: 0.010 * rows,
        TEN_MS_A_ROW,
    )


def test_a_request_that_cannot_be_in_time_is_refused_at_once() -> None:
    one = bench()
    for _ in range(10):
        one.submit(1)
    with pytest.raises(ShedError) as refused:
        one.submit(1, seconds=0.1)  # 100 ms of others before it
    assert refused.value.reason == "deadline"
    assert refused.value.code == Code.RESOURCE_EXHAUSTED
    assert isinstance(refused.value, QueueFullError)
    in_time = one.submit(1, seconds=0.2)
    one.finish()
    assert one.values(in_time) == [2]
    assert one.engine.counts.shed == {"deadline": 1}


def test_one_that_asks_before_it_is_read_hears_the_same() -> None:
    one = bench()
    assert one.engine.admit(deadline=one.clock.now + 0.001) is None  # idle: nothing is known better than by trying
    for _ in range(10):
        one.submit(1)
    refused = one.engine.admit(1, deadline=one.clock.now + 0.05)
    assert refused is not None
    assert refused.reason == "deadline"
    assert one.engine.admit(1, deadline=one.clock.now + 0.5) is None


def test_when_to_come_back_is_when_what_waits_is_done() -> None:
    one = bench(queue_rows=250, queue_seconds=100.0)
    for _ in range(250):
        one.submit(1)
    with pytest.raises(ShedError) as refused:
        one.submit(1)
    assert refused.value.reason == "queue_full"
    assert refused.value.retry_after == 3  # 2.5 s of work, in whole seconds
    assert "3 s" in refused.value.message


def test_a_wrong_estimate_is_put_right_by_an_idle_model() -> None:
    one = Bench(BatchOptions(max_batch_rows=4), lambda rows: 0.001, {1: 50.0, 4: 200.0})
    for _ in range(100):
        job = one.submit(1, seconds=1.0)
        one.finish()
        assert one.values(job) == [2]
    one.submit(1)
    one.submit(1)
    assert one.engine.admit(deadline=one.clock.now + 0.5) is None


def test_bytes_that_wait_are_limited_too() -> None:
    one = bench(queue_bytes=100)
    one.submit(*range(100))  # alone, whatever its size
    with pytest.raises(ShedError, match="queue_full"):
        one.submit(1)


def test_a_time_that_is_over_is_told_and_nothing_computed() -> None:
    one = bench()
    over = one.submit(1, seconds=0.0)
    one.loop.run()
    assert isinstance(one.outcome(over), LateError)
    assert not one.turn()
    assert one.model.sizes == []


def test_the_late_are_told_by_one_timer() -> None:
    one = bench()
    soon, later = one.submit(1, seconds=0.1), one.submit(1, seconds=0.2)
    assert one.loop.timers == 1
    one.pass_time(0.15)
    assert isinstance(one.outcome(soon), LateError)
    assert later not in one.outcomes
    one.pass_time(0.15)
    assert isinstance(one.outcome(later), LateError)
    assert one.loop.timers == 0
    assert one.engine.counts.late == 2


def test_an_earlier_end_moves_the_timer() -> None:
    one = bench()
    one.submit(1)
    soon = one.submit(1, seconds=0.1)
    one.pass_time(0.11)
    assert isinstance(one.outcome(soon), LateError)


def test_from_a_burst_on_only_a_short_queue_is_kept() -> None:
    one = bench(burst_requests=20)
    jobs = [one.submit(float(value)) for value in range(20)]
    one.loop.run()
    assert one.engine.is_overloaded
    shed = [job for job in jobs if job in one.outcomes]
    assert shed == jobs[: len(shed)]  # those that have waited longest
    assert len(shed) >= 15
    assert all(isinstance(one.outcome(job), ShedError) for job in shed)
    refused = 0
    for _ in range(50):
        try:
            one.submit(1)
        except ShedError:
            refused += 1
    assert refused >= 45
    assert one.engine.counts.shed == {"overload": len(shed) + refused}
    one.finish()
    assert one.model.computed[: 20 - len(shed)] == [float(value) for value in range(len(shed), 20)]


def test_the_overload_ends_when_fewer_come() -> None:
    one = bench(burst_requests=20)
    for _ in range(20):
        one.submit(1)
    assert one.engine.is_overloaded
    for _ in range(40):  # half of what can be done
        one.pass_time(0.020)
        try:
            one.submit(1)
        except ShedError:
            continue
        one.finish()
    assert not one.engine.is_overloaded
    for _ in range(19):
        one.submit(1)


def test_as_many_clients_as_a_burst_are_never_refused_however_slow_the_model() -> None:
    one = Bench(BatchOptions(queue_seconds=1e6), lambda rows: 1.0 * rows)
    waiting = {one.submit(1) for _ in range(511)}
    for _ in range(40):
        one.turn()
        done = [job for job in waiting if job in one.outcomes]
        for job in done:
            assert isinstance(one.outcome(job), dict)
            waiting.remove(job)
            waiting.add(one.submit(1))  # each asks again as soon as it has its answer
    assert not one.engine.is_overloaded


def test_where_the_oldest_would_wait_too_long_the_model_is_overloaded() -> None:
    one = bench(queue_seconds=0.5)
    for _ in range(51):  # 10 ms each
        one.submit(1)
    with pytest.raises(ShedError, match="queue_seconds"):
        one.submit(1)
    assert one.engine.is_overloaded


def test_refusing_is_cheap() -> None:
    one = bench(burst_requests=5)
    for _ in range(5):
        one.submit(1)
    while one.engine.admit() is None:
        one.submit(1)
    each = min(timeit.repeat(one.engine.admit, number=2000, repeat=5)) / 2000
    assert each < 50e-6  # 1.4 us on a quiet machine: far below what reading a request costs


def test_a_cancelled_request_leaves_nothing_behind() -> None:
    one = bench()
    jobs = [one.submit(1) for _ in range(1)]
    for _ in range(1000):  # the thread is busy, and client after client gives up
        job = one.submit(*range(4))
        one.engine.cancel(job)
        assert one.engine.waiting_rows == 1
    assert len(one.engine._pending._jobs) < 100
    one.finish()
    assert one.values(jobs[0]) == [2]
    assert one.model.sizes == [1]
    assert one.engine.counts.cancelled == 1000


def test_done_is_not_called_for_one_that_left_while_it_was_computed() -> None:
    one = bench()
    job = one.submit(1)
    one.model.meanwhile = lambda until: one.engine.cancel(job)
    one.finish()
    assert job not in one.outcomes


def test_rows_of_a_batch_fit_into_its_bytes() -> None:
    one = bench(batch_bytes=8)
    for _ in range(4):
        one.submit(1)  # 4 bytes each
    one.finish()
    assert one.model.sizes == [2, 2]


def test_a_job_says_when_what_was_done_to_it() -> None:
    one = bench()
    first, second = one.submit(1), one.submit(2, 3)
    began = one.clock.now
    one.pass_time(0.5)
    one.finish()
    for job in (first, second):
        assert (job.submitted, job.started, job.gathered) == (began, began + 0.5, began + 0.5)
        assert job.computed == pytest.approx(began + 0.53)
        assert job.batch_rows == 3
    assert isinstance(first, Job)
    assert np.isfinite(one.engine.wait_seconds())
