"""The batcher, with backends that show how they were called."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from serving.backends.base import Array, RunError
from serving.batching.batcher import Batcher, Job, Outcome, QueueFullError
from serving.signature import ModelSignature, Tensor

ROW = ModelSignature((Tensor("x", "float32", (None, 1)),), (Tensor("y", "float32", (None, 1)),))


class Gate:
    """A backend that doubles, and waits before each batch until it is let through."""

    name = "gate"

    def __init__(self, signature: ModelSignature = ROW, *, is_open: bool = False) -> None:
        self.signatures = {"serving_default": signature}
        self.sizes: list[int] = []
        self.gate = threading.Semaphore(10_000 if is_open else 0)
        self.entered = threading.Semaphore(0)
        self.is_closed = False

    def run(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.entered.release()
        assert self.gate.acquire(timeout=10)
        self.sizes.append(len(inputs["x"]))
        if (inputs["x"] < 0).any():
            raise RunError("negative", is_callers_fault=True)
        return {"y": inputs["x"] * 2}

    def close(self) -> None:
        self.is_closed = True


class Desk:
    """Submits to a batcher and collects outcomes, in a loop of its own thread."""

    def __init__(self, backend: Any, **limits: int) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        sizes = {"max_batch_rows": 4, "queue_rows": 6, **limits}
        self.batcher = Batcher(backend, loop=self.loop, **sizes)

    def submit(self, *values: float, key: tuple[object, ...] | None = ("rows",)) -> tuple[Job, queue.Queue[Outcome]]:
        outcomes: queue.Queue[Outcome] = queue.Queue()
        array = np.float32(values).reshape(-1, 1)
        job = Job("serving_default", {"x": array}, len(values), key, outcomes.put)
        self.batcher.submit(job)
        return job, outcomes

    def end(self) -> None:
        self.batcher.close()
        self.batcher.join()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def values(outcomes: Any) -> list[float]:
    outcome = outcomes.get(timeout=10)
    assert not isinstance(outcome, RunError), outcome
    return [float(one) for one in outcome["y"].ravel()]


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def desk(gate: Gate) -> Iterator[Desk]:
    made = Desk(gate)
    yield made
    for _ in range(100):
        gate.gate.release()
    made.end()


def test_what_waits_is_computed_together_up_to_the_greatest_batch(gate: Gate, desk: Desk) -> None:
    _, first = desk.submit(1)
    assert gate.entered.acquire(timeout=10)
    rest = [desk.submit(value)[1] for value in (2, 3, 4, 5, 6)]
    for _ in range(3):
        gate.gate.release()
    assert [values(one) for one in (first, *rest)] == [[2], [4], [6], [8], [10], [12]]
    assert gate.sizes == [1, 4, 1]


def test_rows_count_and_not_requests(gate: Gate, desk: Desk) -> None:
    desk.submit(0)
    assert gate.entered.acquire(timeout=10)
    three, two = desk.submit(1, 2, 3)[1], desk.submit(4, 5)[1]
    for _ in range(3):
        gate.gate.release()
    assert values(three) == [2, 4, 6]
    assert values(two) == [8, 10]
    assert gate.sizes == [1, 3, 2]


def test_a_full_queue_refuses_and_takes_again_later(gate: Gate, desk: Desk) -> None:
    desk.submit(0)
    assert gate.entered.acquire(timeout=10)
    waiting = [desk.submit(1, 2, 3)[1], desk.submit(4, 5, 6)[1]]
    with pytest.raises(QueueFullError):
        desk.submit(7)
    for _ in range(3):
        gate.gate.release()
    assert [values(one) for one in waiting] == [[2, 4, 6], [8, 10, 12]]
    gate.gate.release()
    assert values(desk.submit(7)[1]) == [14]


def test_nobody_computes_for_a_client_that_left(gate: Gate, desk: Desk) -> None:
    desk.submit(0)
    assert gate.entered.acquire(timeout=10)
    left, outcomes = desk.submit(1, 2, 3)
    _, stays = desk.submit(4)
    desk.batcher.cancel(left)
    assert desk.batcher.waiting_rows == 1
    for _ in range(2):
        gate.gate.release()
    assert values(stays) == [8]
    assert gate.sizes == [1, 1]
    assert outcomes.empty()


def test_one_bad_request_does_not_fail_its_neighbours(gate: Gate, desk: Desk) -> None:
    desk.submit(0)
    assert gate.entered.acquire(timeout=10)
    good, bad = desk.submit(1)[1], desk.submit(-1)[1]
    for _ in range(4):
        gate.gate.release()
    assert values(good) == [2]
    assert isinstance(bad.get(timeout=10), RunError)


def test_other_shapes_are_not_joined(gate: Gate, desk: Desk) -> None:
    desk.submit(0)
    assert gate.entered.acquire(timeout=10)
    one, other = desk.submit(1, key=("a",))[1], desk.submit(2, key=("b",))[1]
    for _ in range(3):
        gate.gate.release()
    assert (values(one), values(other)) == ([2], [4])
    assert gate.sizes == [1, 1, 1]


def test_a_request_greater_than_a_batch_goes_in_parts() -> None:
    gate = Gate(is_open=True)
    desk = Desk(gate)
    assert values(desk.submit(*range(10))[1]) == [2 * value for value in range(10)]
    assert gate.sizes == [4, 4, 2]
    desk.end()


def test_a_model_that_does_not_answer_row_by_row_is_asked_alone() -> None:
    class Sum(Gate):
        def run(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
            super().run(signature, inputs)
            return {"y": inputs["x"].sum(keepdims=True)}

    gate = Sum()
    desk = Desk(gate)
    desk.submit(0)
    assert gate.entered.acquire(timeout=10)
    pairs = [desk.submit(1, 2)[1], desk.submit(3)[1]]
    for _ in range(10):
        gate.gate.release()
    assert [values(one) for one in pairs] == [[3], [3]]
    desk.end()


def test_closing_computes_what_waits_and_frees_the_model() -> None:
    gate = Gate(is_open=True)
    desk = Desk(gate)
    outcomes = [desk.submit(value)[1] for value in (1, 2, 3)]
    desk.end()
    assert [values(one) for one in outcomes] == [[2], [4], [6]]
    assert gate.is_closed


def test_whatever_a_model_raises_the_next_request_is_answered() -> None:
    class Broken(Gate):
        def run(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
            if inputs["x"][0] == 0:
                raise ZeroDivisionError("no")
            return {"y": inputs["x"]}

    desk = Desk(Broken())
    outcome = desk.submit(0)[1].get(timeout=10)
    assert isinstance(outcome, RunError)
    assert not outcome.is_callers_fault
    assert values(desk.submit(5)[1]) == [5]
    desk.end()
