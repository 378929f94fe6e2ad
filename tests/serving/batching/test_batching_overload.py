"""More than can be computed: a simulated open stream of requests against simulated models, by the simulation's own clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest

from serving.batching.jobs import Job, ShedError
from serving.batching.options import BatchOptions
from tests.serving.batching.engines import Bench


@dataclass
class Result:
    """Requests per second that were answered; when each of these came, from the beginning, and how long it took."""

    goodput: float
    answers: list[tuple[float, float]]
    greatest_queue: int

    def p99(self, after: float = 0.0) -> float:
        latencies = sorted(seconds for came, seconds in self.answers if came >= after)
        return latencies[int(len(latencies) * 0.99)]


def stream(cost: Callable[[int], float], per_second: float, *, requests: int = 12_000, seed: int = 1) -> Result:
    """Offer requests of one row at random times (Poisson), whatever becomes of those before."""
    bench = Bench(BatchOptions(), cost)
    chance = random.Random(seed)
    began = bench.clock.now
    arrivals = [began]
    for _ in range(requests):
        arrivals.append(arrivals[-1] + chance.expovariate(per_second))
    arrivals.reverse()
    answers: list[tuple[float, float]] = []
    greatest = 0

    def arrive(until: float) -> None:
        nonlocal greatest
        while arrivals and arrivals[-1] <= until:
            bench.clock.now = arrivals.pop()
            job = bench.job(1.0)
            job.done = partial(note, job)
            if bench.engine.admit() is None:
                try:
                    bench.engine.submit(job)
                except ShedError:
                    continue
            greatest = max(greatest, bench.engine.waiting_requests)

    def note(job: Job, outcome: object) -> None:
        if isinstance(outcome, dict):
            answers.append((job.submitted - began, bench.clock.now - job.submitted))

    bench.model.meanwhile = arrive
    while arrivals or bench.engine.waiting_requests:
        if not bench.turn():
            arrive(arrivals[-1])
    return Result(len(answers) / (bench.clock.now - began), answers, greatest)


COSTS: dict[str, Callable[[int], float]] = {
    "a small network on ONNX Runtime": lambda rows: 0.00007 + 0.00026 * rows,
    "the same on TensorFlow": lambda rows: 0.0011 + 0.00026 * rows,
    "a slow one": lambda rows: 0.010 + 0.050 * rows,
}


@pytest.mark.parametrize("name", COSTS)
def test_four_times_what_can_be_done_costs_a_tenth_of_it_at_most(name: str) -> None:
    cost = COSTS[name]
    peak = 64 / cost(64)
    overloaded = stream(cost, 4 * peak)
    assert overloaded.goodput >= 0.9 * peak
    assert overloaded.greatest_queue <= 513


def test_those_that_are_taken_are_answered_about_as_soon_as_ever() -> None:
    cost = COSTS["a small network on ONNX Runtime"]
    peak = 64 / cost(64)
    unloaded, overloaded = stream(cost, peak / 4), stream(cost, 4 * peak)
    recognised = 512 / (3 * peak) + 0.01
    assert overloaded.p99(after=recognised) <= 3 * unloaded.p99()


@pytest.mark.parametrize("share", [0.3, 0.8])
@pytest.mark.parametrize("name", COSTS)
def test_nobody_is_refused_while_all_can_be_done(name: str, share: float) -> None:
    cost = COSTS[name]
    offered = share * 64 / cost(64)
    result = stream(cost, offered)
    assert len(result.answers) == 12_001
