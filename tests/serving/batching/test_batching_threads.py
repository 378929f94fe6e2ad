"""The batcher with its real thread and a real loop: neighbours, and many requests at once."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Mapping

import numpy as np

from serving.backends.base import Array, RunError
from serving.batching.batcher import Batcher, BatchOptions, Job, LateError, Outcome, ShedError
from serving.signature import ModelSignature
from tests.serving.batching.engines import ROW


class Doubles:
    """Doubles once `is_open` is set; refuses negative rows."""

    name: str = "doubles"
    concurrency = 1
    signatures: Mapping[str, ModelSignature] = {"serving_default": ROW}

    def __init__(self) -> None:
        self.is_open = threading.Event()

    def run(self, signature: str, inputs: Mapping[str, Array], *_: object, **__: object) -> dict[str, Array]:
        assert self.is_open.wait(20)
        if (inputs["x"] < 0).any():
            raise RunError("negative", is_callers_fault=True)
        return {"y": inputs["x"] * 2}

    def close(self) -> None:
        pass


def ask(
    batcher: Batcher, value: float, rows: int = 1, seconds: float | None = None
) -> tuple[Job, asyncio.Future[Outcome]]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Outcome] = loop.create_future()
    x = np.full((rows, 1), value, np.float32)
    job = Job("serving_default", {"x": x}, rows, ("x",), future.set_result)
    job.deadline = None if seconds is None else loop.time() + seconds
    batcher.submit(job)
    return job, future


def test_a_model_that_stands_still_does_not_hold_another() -> None:
    async def run() -> None:
        stuck, quick = Doubles(), Doubles()
        quick.is_open.set()
        loop = asyncio.get_running_loop()
        slow, fast = Batcher(stuck, loop=loop), Batcher(quick, loop=loop)
        _, held = ask(slow, 1)
        for value in range(50):
            outcome = await asyncio.wait_for(ask(fast, value)[1], 10)
            assert isinstance(outcome, dict)
            assert outcome["y"][0, 0] == 2 * value
        assert not held.done()
        stuck.is_open.set()
        await asyncio.wait_for(held, 10)
        for batcher in (slow, fast):
            batcher.close()
            batcher.join()

    asyncio.run(run())


def test_thousands_of_requests_each_end_once() -> None:
    async def run() -> None:
        model = Doubles()
        model.is_open.set()
        options = BatchOptions(max_batch_rows=8, queue_rows=64, allowed_rows=(1, 2, 4, 8), burst_requests=40)
        batcher = Batcher(model, options, loop=asyncio.get_running_loop())
        chance = random.Random(5)
        ends = {"answered": 0, "refused": 0, "late": 0, "shed": 0, "cancelled": 0}

        async def client(name: int) -> None:
            for turn in range(100):
                value = float(1000 * name + turn) * (-1 if chance.random() < 0.02 else 1)
                seconds = chance.choice([None, None, 0.0001, 30.0])
                try:
                    job, future = ask(batcher, value, chance.randint(1, 12), seconds)
                except ShedError:
                    ends["shed"] += 1
                    await asyncio.sleep(0)
                    continue
                if chance.random() < 0.05:
                    batcher.cancel(job)
                    ends["cancelled"] += 1
                    continue
                outcome = await asyncio.wait_for(future, 20)  # a second one would be an InvalidStateError
                if isinstance(outcome, dict):
                    assert (outcome["y"] == 2 * value).all()
                    assert len(outcome["y"]) == job.rows
                    ends["answered"] += 1
                elif isinstance(outcome, LateError):
                    ends["late"] += 1
                elif isinstance(outcome, ShedError):
                    ends["shed"] += 1
                else:
                    assert value < 0
                    ends["refused"] += 1

        await asyncio.gather(*(client(name) for name in range(50)))
        batcher.close()
        batcher.join()
        await asyncio.sleep(0)
        counts = batcher.counts
        assert sum(ends.values()) == counts.submitted == 5000
        assert ends["answered"] == counts.succeeded > 0
        assert (ends["refused"], ends["late"], ends["cancelled"]) == (counts.failed, counts.late, counts.cancelled)
        assert ends["shed"] == sum(counts.shed.values())
        assert batcher.waiting_rows == 0

    asyncio.run(run())
