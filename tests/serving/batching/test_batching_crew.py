"""Several batches at once, for a model that computes in several places."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import numpy as np

from serving.backends.base import Array, RunError
from serving.batching.batcher import Batcher, BatchOptions, Job, Outcome, ShedError
from serving.batching.crew import Crew, open_batcher
from serving.signature import ModelSignature
from tests.serving.batching.engines import ROW

LANES = 3


class Places:
    """Doubles, in three places at once; notes what it was asked."""

    name = platform = "places"
    signatures: Mapping[str, ModelSignature] = {"serving_default": ROW}
    methods: Mapping[str, str] = {}
    defaults: Mapping[str, Mapping[str, Array]] = {}
    concurrency = LANES

    def __init__(self, before: Callable[[Array], None] = lambda x: None) -> None:
        self.before = before
        self.sizes: list[int] = []
        self.outputs: list[Sequence[str]] = []
        self.deadlines: list[float | None] = []
        self.is_closed = False
        self.inside = 0
        self._lock = threading.Lock()

    def run(
        self, signature: str, inputs: Mapping[str, Array], outputs: Sequence[str] = (), *, deadline: float | None = None
    ) -> dict[str, Array]:
        assert not self.is_closed
        with self._lock:
            self.inside += 1
            self.sizes.append(len(inputs["x"]))
            self.outputs.append(outputs)
            self.deadlines.append(deadline)
        try:
            self.before(inputs["x"])
            return {"y": inputs["x"] * 2}
        finally:
            with self._lock:
                self.inside -= 1

    def close(self) -> None:
        assert not self.inside
        self.is_closed = True


def ask(batcher: Batcher, value: float, rows: int = 1, **more: Any) -> asyncio.Future[Outcome]:
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    job = Job("serving_default", {"x": np.full((rows, 1), value, np.float32)}, rows, ("x",), future.set_result)
    for name, given in more.items():
        setattr(job, name, given)
    batcher.submit(job)
    return future


async def occupy(batcher: Batcher, model: Places, places: int = LANES) -> list[asyncio.Future[Outcome]]:
    """One batch of one row in each place."""
    futures = []
    for number in range(places):
        futures.append(ask(batcher, 0))
        while model.inside <= number:
            await asyncio.sleep(0.001)
    return futures


def with_crew(model: Places, use: Callable[[Batcher], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def run() -> None:
        batcher = open_batcher(model, BatchOptions(**options), loop=asyncio.get_running_loop())
        assert isinstance(batcher, Crew)
        try:
            await asyncio.wait_for(use(batcher), 30)
        finally:
            batcher.close()
            batcher.join()

    asyncio.run(run())
    assert model.is_closed


def test_as_many_batches_are_under_way_as_there_are_places() -> None:
    together = threading.Barrier(LANES, timeout=20)
    model = Places(lambda x: (together.wait(), None)[1])

    async def use(batcher: Batcher) -> None:
        futures = [ask(batcher, value) for value in range(2 * LANES)]
        for value, outcome in enumerate(await asyncio.gather(*futures)):
            assert isinstance(outcome, dict)
            assert outcome["y"][0, 0] == 2 * value

    with_crew(model, use, max_batch_rows=1, tune=False)


def test_what_waits_is_divided_among_those_who_are_free() -> None:
    gate = threading.Event()

    def wait(x: Array) -> None:
        assert gate.wait(20)

    model = Places(wait)

    async def use(batcher: Batcher) -> None:
        futures = await occupy(batcher, model)
        futures += [ask(batcher, value) for value in range(60)]
        gate.set()
        await asyncio.gather(*futures)
        assert max(model.sizes) < 60
        assert sum(model.sizes) == 60 + LANES

    async def known(batcher: Batcher) -> None:
        for rows in (1, 64):
            batcher._cost.learn(rows, 0.001 + 0.001 * rows)
        await use(batcher)

    with_crew(model, known, max_batch_rows=64, tune=False)


def test_close_waits_for_every_batch_and_answers_what_waits() -> None:
    gate = threading.Event()

    def wait(x: Array) -> None:
        assert gate.wait(20)

    model = Places(wait)

    async def use(batcher: Batcher) -> None:
        futures = [*await occupy(batcher, model), *[ask(batcher, value) for value in range(10)]]
        batcher.close()
        assert not model.is_closed
        gate.set()
        assert all(isinstance(outcome, dict) for outcome in await asyncio.gather(*futures))

    with_crew(model, use, max_batch_rows=2, tune=False)


def test_an_outage_is_told_to_all_of_a_batch_and_asked_once() -> None:
    def fail(x: Array) -> None:
        if len(x) > 1:
            raise RunError("away", is_callers_fault=False, cause="unavailable", retry_after=2.0)

    model = Places(fail)

    async def use(batcher: Batcher) -> None:
        outcomes = await asyncio.gather(*[ask(batcher, value, rows=2) for value in range(4)])
        assert all(isinstance(outcome, RunError) and outcome.retry_after == 2.0 for outcome in outcomes)
        assert sum(model.sizes) == 8, "nobody is asked again alone"

    with_crew(model, use, max_batch_rows=64)


def test_it_is_told_what_is_wanted_and_until_when() -> None:
    gate, first = threading.Event(), threading.Event()

    def wait(x: Array) -> None:
        first.set()
        assert gate.wait(20)

    model = Places(wait)
    now = time.monotonic()

    async def use(batcher: Batcher) -> None:
        futures = await occupy(batcher, model)
        futures.append(ask(batcher, 1, outputs=["y"], deadline=now + 50))
        futures.append(ask(batcher, 1, outputs=["y", "z"], deadline=now + 60))
        gate.set()
        await asyncio.gather(*futures)
        (at,) = [index for index, size in enumerate(model.sizes) if size == 2]
        assert (model.outputs[at], model.deadlines[at]) == (["y", "z"], now + 60)

    with_crew(model, use, max_batch_rows=64, tune=False)


def test_a_request_that_wants_all_or_has_no_deadline_decides_for_its_batch() -> None:
    gate = threading.Event()

    def wait(x: Array) -> None:
        assert gate.wait(20)

    model = Places(wait)

    async def use(batcher: Batcher) -> None:
        futures = await occupy(batcher, model)
        futures.append(ask(batcher, 1, outputs=["y"], deadline=time.monotonic() + 50))
        futures.append(ask(batcher, 1))
        gate.set()
        await asyncio.gather(*futures)
        (at,) = [index for index, size in enumerate(model.sizes) if size == 2]
        assert (list(model.outputs[at]), model.deadlines[at]) == ([], None)

    with_crew(model, use, max_batch_rows=64, tune=False)


def test_whoever_comes_while_a_place_is_free_waits_for_nobody() -> None:
    gate = threading.Event()

    def wait(x: Array) -> None:
        assert gate.wait(20)

    model = Places(wait)

    async def use(batcher: Batcher) -> None:
        batcher._cost.learn(1, 5.0)
        futures = await occupy(batcher, model, LANES - 1)
        assert batcher.wait_seconds() == 0
        futures.append(ask(batcher, 0))
        while model.inside < LANES:
            await asyncio.sleep(0.001)
        assert 4 < batcher.wait_seconds() <= 5
        assert batcher.admit(1, deadline=time.monotonic() + 1.0) is not None
        gate.set()
        await asyncio.gather(*futures)

    with_crew(model, use, max_batch_rows=1, tune=False)


def test_thousands_of_requests_each_end_once() -> None:
    def doze(x: Array) -> None:
        if (x < 0).any():
            raise RunError("negative", is_callers_fault=True)

    model = Places(doze)
    ends = {"answered": 0, "refused": 0, "shed": 0}

    async def use(batcher: Batcher) -> None:
        chance = random.Random(7)

        async def client(name: int) -> None:
            for turn in range(60):
                value = float(1000 * name + turn) * (-1 if chance.random() < 0.03 else 1)
                rows = chance.randint(1, 12)
                try:
                    outcome = await ask(batcher, value, rows)
                except ShedError:
                    ends["shed"] += 1
                    await asyncio.sleep(0)
                    continue
                if isinstance(outcome, dict):
                    assert (outcome["y"] == 2 * value).all()
                    assert len(outcome["y"]) == rows
                    ends["answered"] += 1
                elif isinstance(outcome, ShedError):
                    ends["shed"] += 1
                else:
                    assert value < 0
                    ends["refused"] += 1

        await asyncio.gather(*(client(name) for name in range(50)))
        counts = batcher.counts
        assert sum(ends.values()) == counts.submitted == 3000
        assert ends["answered"] == counts.succeeded
        assert batcher.waiting_rows == 0

    with_crew(model, use, max_batch_rows=8, queue_rows=80, burst_requests=45)
    assert ends["answered"] > 100
