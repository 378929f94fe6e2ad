"""Large requests are not copied without need; what was computed is let go of; idle batchers cost little."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from serving.backends.base import Array
from serving.batching.batcher import Batcher
from serving.batching.engine import Engine
from serving.batching.jobs import Job, Outcome
from serving.batching.options import BatchOptions
from serving.signature import ModelSignature, Tensor
from tests.serving.batching.engines import Clock, Loop
from tests.serving.waiting import wait_for

IMAGE = (64, 64, 3)
SIGNATURE = ModelSignature((Tensor("x", "float32", (None, *IMAGE)),), (Tensor("y", "float32", (None, *IMAGE)),))


class Images:
    """Answers with as much as it is asked; keeps nothing."""

    name: str = "images"
    concurrency = 1
    signatures: Mapping[str, ModelSignature] = {"serving_default": SIGNATURE}

    def __init__(self, answer: Callable[[Array], Array] = lambda x: x[:, :1, :1, 0]) -> None:
        self._answer = answer

    def run(self, signature: str, inputs: Mapping[str, Array], *_: object, **__: object) -> dict[str, Array]:
        return {"y": self._answer(inputs["x"])}

    def close(self) -> None:
        pass


@contextmanager
def peak() -> Iterator[list[int]]:
    """The most memory that was taken within, in bytes, beyond what was there."""
    gc.collect()
    tracemalloc.start()
    found: list[int] = []
    try:
        yield found
        found.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def compute(model: Images, jobs: list[Job]) -> list[Outcome]:
    clock = Clock()
    loop = Loop(clock)
    engine = Engine(model, BatchOptions(tune=False), loop, clock=clock)
    outcomes: list[Outcome] = []
    for job in jobs:
        job.done = outcomes.append
        engine.submit(job)
    while engine.rest() == 0:
        engine.turn()
        loop.run()
    return outcomes


def job(rows: int) -> Job:
    return Job("serving_default", {"x": np.ones((rows, *IMAGE), np.float32)}, rows, ("x",), lambda outcome: None)


def test_a_large_request_is_cut_without_a_copy() -> None:
    large = job(640)  # 31 MB, ten batches
    with peak() as most:
        (outcome,) = compute(Images(), [large])
    assert isinstance(outcome, dict)
    assert most[0] < large.size / 20


def test_the_answer_to_a_large_request_is_there_once() -> None:
    large = job(640)
    with peak() as most:
        (outcome,) = compute(Images(lambda x: x + 1), [large])
    assert isinstance(outcome, dict)
    assert outcome["y"].nbytes == large.size
    assert most[0] < large.size * 1.35  # the whole, and two parts while one takes the other's place


def test_a_batch_of_large_rows_is_copied_once() -> None:
    jobs = [job(1) for _ in range(64)]
    with peak() as most:
        compute(Images(), jobs)
    assert most[0] < sum(one.size for one in jobs) * 1.1


def test_an_idle_batcher_holds_nothing_of_what_it_computed() -> None:
    loop = asyncio.new_event_loop()
    tracemalloc.start()
    batcher = Batcher(Images(), loop=loop)
    done: list[bool] = []
    for _ in range(8):
        one = job(8)
        one.done = lambda outcome: done.append(True)
        batcher.submit(one)
    del one
    while len(done) < 8:
        loop.run_until_complete(asyncio.sleep(0.005))
    wait_for(lambda: gc.collect() >= 0 and tracemalloc.get_traced_memory()[0] < 200_000, what="the memory's return")
    tracemalloc.stop()
    batcher.close()
    batcher.join()
    loop.close()
