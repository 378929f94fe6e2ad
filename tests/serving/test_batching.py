"""The batcher, with backends that show how they were called."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from serving.backends.base import Array, RunError
from serving.batching.batcher import Batcher, BatchOptions, Job, LateError, Outcome, QueueFullError, ShedError
from serving.signature import ModelSignature, Tensor

ROW = ModelSignature((Tensor("x", "float32", (None, 1)),), (Tensor("y", "float32", (None, 1)),))


class Gate:
    """A backend that doubles, and waits before each batch until it is let through."""

    name: str = "gate"
    concurrency = 1

    def __init__(self, signature: ModelSignature = ROW, *, is_open: bool = False) -> None:
        self.signatures: Mapping[str, ModelSignature] = {"serving_default": signature}
        self.sizes: list[int] = []
        self.gate = threading.Semaphore(10_000 if is_open else 0)
        self.entered = threading.Semaphore(0)
        self.is_closed = False

    def run(self, signature: str, inputs: Mapping[str, Array], *_: object, **__: object) -> dict[str, Array]:
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

    def __init__(self, backend: Any, **limits: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        options = {"max_batch_rows": 4, "queue_rows": 6, "tune": False, **limits}
        self.batcher = Batcher(backend, BatchOptions(**options), loop=self.loop)

    def submit(
        self, *values: float, key: tuple[object, ...] | None = ("rows",), seconds: float | None = None
    ) -> tuple[Job, queue.Queue[Outcome]]:
        outcomes: queue.Queue[Outcome] = queue.Queue()
        array = np.array(values, np.float32).reshape(-1, 1)
        deadline = None if seconds is None else time.monotonic() + seconds
        job = Job("serving_default", {"x": array}, len(values), key, outcomes.put, deadline)
        self.do(lambda: self.batcher.submit(job))
        return job, outcomes

    def do(self, work: Callable[[], None]) -> None:
        """In the loop's thread, and wait for it."""

        async def done() -> None:
            work()

        asyncio.run_coroutine_threadsafe(done(), self.loop).result(10)

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
    desk.do(lambda: desk.batcher.cancel(left))
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
        def run(self, signature: str, inputs: Mapping[str, Array], *_: object, **__: object) -> dict[str, Array]:
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
        def run(self, signature: str, inputs: Mapping[str, Array], *_: object, **__: object) -> dict[str, Array]:
            if inputs["x"][0] == 0:
                raise ZeroDivisionError("no")
            return {"y": inputs["x"]}

    desk = Desk(Broken())
    outcome = desk.submit(0)[1].get(timeout=10)
    assert isinstance(outcome, RunError)
    assert not outcome.is_callers_fault
    assert values(desk.submit(5)[1]) == [5]
    desk.end()


def test_late_is_told_in_time_also_while_the_model_is_busy(gate: Gate, desk: Desk) -> None:
    _, computing = desk.submit(0, seconds=0.3)
    assert gate.entered.acquire(timeout=10)
    _, waiting = desk.submit(1, seconds=0.3)
    late = [computing.get(timeout=10), waiting.get(timeout=10)]  # the model is still held
    assert [isinstance(outcome, LateError) and outcome.is_computing for outcome in late] == [True, False]
    gate.gate.release()
    _, after = desk.submit(2)
    gate.gate.release()
    assert values(after) == [4]
    assert gate.sizes == [1, 1]
    assert computing.empty()


def test_what_waits_too_long_is_given_up(gate: Gate) -> None:
    desk = Desk(gate, queue_seconds=0.3)
    desk.submit(0)
    assert gate.entered.acquire(timeout=10)
    outcome = desk.submit(1)[1].get(timeout=10)
    assert isinstance(outcome, ShedError)
    assert outcome.reason == "queue_seconds"
    gate.gate.release()
    desk.end()


def test_a_batch_that_is_not_full_waits_as_long_as_it_is_told_to() -> None:
    gate = Gate(is_open=True)
    desk = Desk(gate, max_delay_seconds=30.0)
    outcomes = [desk.submit(value)[1] for value in (1, 2, 3, 4)]  # the fourth fills it
    assert [values(one) for one in outcomes] == [[2], [4], [6], [8]]
    last = desk.submit(5)[1]
    desk.end()  # and closing waits for nobody
    assert values(last) == [10]
    assert gate.sizes == [4, 1]


def test_a_short_delay_ends_by_itself() -> None:
    gate = Gate(is_open=True)
    desk = Desk(gate, max_delay_seconds=0.01)
    assert values(desk.submit(1)[1]) == [2]
    desk.end()


def test_after_the_end_a_request_is_refused_and_does_not_wait_for_ever() -> None:
    desk = Desk(Gate(is_open=True))
    desk.batcher.close()
    desk.batcher.join()
    with pytest.raises(ShedError) as refused:
        desk.submit(1)
    assert refused.value.reason == "closed"
    desk.end()


def test_an_answer_that_cannot_be_given_does_not_cost_the_others_theirs(gate: Gate, desk: Desk) -> None:
    told: list[dict[str, Any]] = []
    desk.loop.set_exception_handler(lambda _, context: told.append(context))
    desk.submit(0)
    assert gate.entered.acquire(timeout=10)
    bad, _ = desk.submit(1)
    bad.done = lambda outcome: 1 / 0  # type: ignore[assignment]
    good = desk.submit(2)[1]
    for _ in range(2):
        gate.gate.release()
    assert values(good) == [4]
    assert isinstance(told[0]["exception"], ZeroDivisionError)


def test_a_model_that_asks_the_program_to_exit_does_not_end_the_thread() -> None:
    class Leaves(Gate):
        def run(self, signature: str, inputs: Mapping[str, Array], *_: object, **__: object) -> dict[str, Array]:
            if inputs["x"][0] == 0:
                raise SystemExit(3)
            return {"y": inputs["x"]}

    desk = Desk(Leaves())
    assert isinstance(desk.submit(0)[1].get(timeout=10), RunError)
    assert values(desk.submit(5)[1]) == [5]
    desk.end()


def test_what_waits_is_told_whichever_way_the_batcher_was_made(gate: Gate) -> None:
    loop = asyncio.new_event_loop()
    batcher = Batcher(gate, max_batch_rows=3, queue_rows=5, loop=loop)
    assert (batcher.options.max_batch_rows, batcher.options.queue_rows, batcher.waiting_rows) == (3, 5, 0)
    batcher.close()
    batcher.join()
    loop.close()
