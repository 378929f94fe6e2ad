"""Turns of long batches among the models of a worker."""

from __future__ import annotations

import threading
import timeit

from serving.batching.gate import Gate
from tests.serving.waiting import wait_for


def test_long_batches_take_turns_in_the_order_of_coming() -> None:
    gate = Gate(1)
    assert gate.enter(20.0)
    order: list[int] = []

    def compute(name: int) -> None:
        assert gate.enter(20.0)
        order.append(name)
        gate.leave()

    threads = []
    for name in range(5):
        threads.append(threading.Thread(target=compute, args=(name,)))
        threads[-1].start()
        wait_for(lambda: gate.waiting == len(threads))
    assert order == []
    gate.leave()
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2, 3, 4]
    assert gate.enter(20.0)  # the slot is free again


def test_a_model_that_always_has_work_does_not_keep_the_slot() -> None:
    gate = Gate(1)
    order: list[str] = []
    ready = threading.Barrier(3)

    def compute(name: str) -> None:
        ready.wait(10)
        for _ in range(50):
            gate.enter(20.0)
            order.append(name)
            wait_for(lambda: gate.waiting == 2 or len(order) > 90)
            gate.leave()

    threads = [threading.Thread(target=compute, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for start in range(3, 81, 3):
        assert sorted(order[start : start + 3]) == ["a", "b", "c"]


def test_nobody_waits_longer_than_its_own_batch_takes() -> None:
    gate = Gate(1)
    assert gate.enter(20.0)
    assert not gate.enter(0.06)  # beside the one that keeps the slot
    assert gate.waiting == 0
    gate.leave()
    assert gate.enter(0.06)
    gate.leave()


def test_short_batches_never_wait() -> None:
    gate = Gate(1)
    assert gate.enter(20.0)
    assert not gate.enter(0.001)


def test_passing_costs_next_to_nothing() -> None:
    gate = Gate(2)

    def long() -> None:
        if gate.enter(20.0):
            gate.leave()

    assert min(timeit.repeat(long, number=2000, repeat=5)) / 2000 < 20e-6  # 0.4 us on a quiet machine
    assert min(timeit.repeat(lambda: gate.enter(0.001), number=2000, repeat=5)) / 2000 < 5e-6
