"""A batcher without thread, with a clock and a loop that stand still until told: what happens is exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import numpy as np

from serving.backends.base import Array, RunError
from serving.batching.engine import Engine
from serving.batching.jobs import Job, Outcome
from serving.batching.options import BatchOptions
from serving.signature import ModelSignature, Tensor

ROW = ModelSignature((Tensor("x", "float32", (None, 1)),), (Tensor("y", "float32", (None, 1)),))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Timer:
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """Carries out what is due when `run` is called."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        self._later: list[tuple[float, int, Timer, Callable[..., object], tuple[Any, ...]]] = []
        self.errors: list[dict[str, Any]] = []

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self._ready.append((callback, args))

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        timer = Timer()
        entry = (self._clock.now + delay, id(timer), timer, callback, args)
        heappush(self._later, entry)
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def run(self) -> None:
        while self._ready or (self._later and self._later[0][0] <= self._clock.now):
            while self._later and self._later[0][0] <= self._clock.now:
                _, _, timer, callback, args = heappop(self._later)
                if not timer.is_cancelled:
                    self._ready.append((callback, args))
            ready, self._ready = self._ready, []
            for callback, args in ready:
                callback(*args)

    @property
    def timers(self) -> int:
        return sum(not timer.is_cancelled for _, _, timer, _, _ in self._later)


class Model:
    """Doubles; a batch takes `cost(rows)` seconds of the clock. Negative rows are refused, rows of 1e6 break it."""

    name: str = "simulated"
    concurrency = 1

    def __init__(
        self, clock: Clock, cost: Callable[[int], float] = lambda rows: 0.001 * rows, signature: ModelSignature = ROW
    ) -> None:
        self.signatures: Mapping[str, ModelSignature] = {"serving_default": signature}
        self.clock = clock
        self.cost = cost
        self.sizes: list[int] = []
        self.computed: list[float] = []
        self.meanwhile: Callable[[float], None] = lambda until: None
        """Is called within a run, with the time of its end."""

    def run(self, signature: str, inputs: Mapping[str, Array], *_: object, **__: object) -> dict[str, Array]:
        x = inputs["x"]
        self.sizes.append(len(x))
        self.computed += [float(value) for value in x[:, 0]]
        until = self.clock.now + self.cost(len(x))
        self.meanwhile(until)
        self.clock.now = until
        if (x < 0).any():
            raise RunError("negative", is_callers_fault=True)
        if (x == 1e6).any():
            raise ZeroDivisionError("broken")
        return {"y": x * 2}

    def close(self) -> None:
        pass


@dataclass
class Bench:
    """An engine and what came of its jobs."""

    options: BatchOptions = field(default_factory=lambda: BatchOptions(max_batch_rows=4, queue_rows=100, tune=False))
    cost: Callable[[int], float] = lambda rows: 0.001 * rows
    measured: Mapping[int, float] | None = None

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.model = Model(self.clock, self.cost)
        self.engine = Engine(self.model, self.options, self.loop, measured=self.measured, clock=self.clock)
        self.outcomes: dict[Job, list[Outcome]] = {}

    def job(self, *values: float, key: tuple[object, ...] | None = ("rows",), seconds: float | None = None) -> Job:
        array = np.array(values, np.float32).reshape(-1, 1)
        deadline = None if seconds is None else self.clock.now + seconds
        job = Job("serving_default", {"x": array}, len(values), key, lambda outcome: None, deadline)
        job.done = lambda outcome: self.outcomes.setdefault(job, []).append(outcome)
        return job

    def submit(self, *values: float, key: tuple[object, ...] | None = ("rows",), seconds: float | None = None) -> Job:
        job = self.job(*values, key=key, seconds=seconds)
        self.engine.submit(job)
        return job

    def turn(self) -> bool:
        """A turn of the thread, then one of the loop."""
        is_work = self.engine.rest() == 0 and self.engine.turn()
        self.loop.run()
        return is_work

    def finish(self) -> None:
        while self.turn():
            pass

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.loop.run()

    def outcome(self, job: Job) -> Outcome:
        (outcome,) = self.outcomes[job]
        return outcome

    def values(self, job: Job) -> list[float]:
        outcome = self.outcome(job)
        assert isinstance(outcome, dict), outcome
        return [float(value) for value in outcome["y"].ravel()]
