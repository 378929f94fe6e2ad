"""Whatever comes in whatever order: each job ends once, with its own rows, in order, and the counts add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.backends.base import RunError
from serving.batching.jobs import Job, LateError, ShedError
from serving.batching.options import BatchOptions
from tests.serving.batching.engines import Bench

BROKEN = 1e6


@dataclass(frozen=True)
class Step:
    what: Literal["submit", "cancel", "turn", "time", "loop", "admit"]
    rows: int = 1
    key: int | None = 0
    kind: Literal["good", "refused", "broken"] = "good"
    seconds: float | None = None
    which: int = 0


SUBMIT = st.builds(
    Step,
    st.just("submit"),
    rows=st.integers(1, 12),
    key=st.sampled_from([0, 0, 0, 1, None]),
    kind=st.sampled_from(["good"] * 8 + ["refused", "broken"]),
    seconds=st.sampled_from([None, None, 0.0, 0.001, 0.01, 0.1, 30.0]),
)
OTHERS = st.builds(
    Step,
    st.sampled_from(["cancel", "turn", "time", "loop", "admit"]),
    seconds=st.sampled_from([0.0001, 0.003, 0.02, 0.3]),
    which=st.integers(0, 1000),
)
STEPS = st.lists(st.one_of(SUBMIT, SUBMIT, OTHERS), max_size=60)
OPTIONS = st.builds(
    BatchOptions,
    max_batch_rows=st.just(4),
    queue_rows=st.sampled_from([4, 12, 1000]),
    queue_bytes=st.sampled_from([40, 10_000]),
    queue_seconds=st.sampled_from([0.01, 10.0]),
    burst_requests=st.sampled_from([1, 3, 512]),
    allowed_rows=st.sampled_from([(), (4,), (1, 3, 4)]),
    max_delay_seconds=st.sampled_from([0.0, 0.005]),
    batch_bytes=st.sampled_from([8, 10_000]),
    pad_variable=st.booleans(),
    tune=st.booleans(),
)


class Run:
    """Carries steps out and keeps what is to be checked."""

    def __init__(self, options: BatchOptions, meanwhile: list[Step]) -> None:
        self.bench = Bench(options)
        self.jobs: list[Job] = []
        self.refused: list[Job] = []
        self.order: list[Job] = []
        self.refused_by_admit = 0
        self.next_value = 1.0
        self._meanwhile = list(meanwhile)
        self.bench.model.meanwhile = self._while_it_computes

    def do(self, step: Step) -> None:
        bench = self.bench
        match step.what:
            case "submit":
                self._submit(step)
            case "cancel" if self.jobs:
                bench.engine.cancel(self.jobs[step.which % len(self.jobs)])
            case "turn":
                bench.turn()
            case "time":
                bench.pass_time(step.seconds or 0.0)
            case "loop":
                bench.loop.run()
            case "admit":
                self.refused_by_admit += bench.engine.admit(deadline=bench.clock.now + (step.seconds or 1)) is not None
            case _:
                pass

    def finish(self) -> None:
        self.bench.engine.close()
        while (seconds := self.bench.engine.rest()) != -1:
            assert seconds is not None, "jobs wait and the thread sleeps"
            self.bench.turn() if seconds == 0 else self.bench.pass_time(seconds)
        self.bench.loop.run()

    def _submit(self, step: Step) -> None:
        first = {"good": self.next_value, "refused": -self.next_value, "broken": BROKEN}[step.kind]
        values = [first, *(self.next_value + row for row in range(1, step.rows))]
        self.next_value += step.rows
        key = None if step.key is None else ("key", step.key)
        job = self.bench.job(*values, key=key, seconds=step.seconds)
        done = job.done

        def note(outcome: object) -> None:
            self.order.append(job)
            done(outcome)  # type: ignore[arg-type]

        job.done = note
        self.jobs.append(job)
        try:
            self.bench.engine.submit(job)
        except ShedError:
            self.refused.append(job)

    def _while_it_computes(self, until: float) -> None:
        if self._meanwhile:
            step = self._meanwhile.pop()
            if step.what != "turn":
                self.do(step)


@settings(max_examples=150, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(OPTIONS, STEPS, STEPS)
def test_every_job_ends_once_with_its_own_rows(options: BatchOptions, steps: list[Step], meanwhile: list[Step]) -> None:
    run = Run(options, meanwhile)
    for step in steps:
        run.do(step)
    run.finish()
    ends: Counter[str] = Counter()
    for job in run.jobs:
        outcomes = run.bench.outcomes.get(job, [])
        if job.is_cancelled or job in run.refused:
            assert outcomes == []
            ends["cancelled" if job.is_cancelled else "shed"] += 1
            continue
        (outcome,) = outcomes
        ends[_check(job, outcome)] += 1
    _check_counts(run, ends)
    _check_order(run)
    assert run.bench.loop.errors == []


def _check(job: Job, outcome: object) -> str:
    x = job.inputs["x"]
    if isinstance(outcome, dict):
        assert (x >= 0).all()
        np.testing.assert_array_equal(outcome["y"], x * 2)
        assert job.submitted <= job.started <= job.gathered <= job.computed
        assert job.batch_rows >= job.rows
        return "succeeded"
    if isinstance(outcome, LateError):
        assert job.deadline is not None
        return "late"
    if isinstance(outcome, ShedError):
        return "shed"
    assert isinstance(outcome, RunError)
    assert outcome.is_callers_fault == (x < 0).any()
    assert (x < 0).any() or (x == BROKEN).any(), "a neighbour's fault"
    return "failed"


def _check_counts(run: Run, ends: Counter[str]) -> None:
    engine, counts = run.bench.engine, run.bench.engine.counts
    assert counts.submitted == len(run.jobs)
    found = {"succeeded": counts.succeeded, "failed": counts.failed, "late": counts.late, "cancelled": counts.cancelled}
    found["shed"] = sum(counts.shed.values()) - run.refused_by_admit
    assert found == {name: ends[name] for name in found}
    assert sum(found.values()) == counts.submitted
    assert (engine.waiting_rows, engine.waiting_requests) == (0, 0)
    assert sum(times for times, _ in counts.by_size.values()) == counts.batches
    assert sum(size * times for size, (times, _) in counts.by_size.items()) == counts.rows
    limit = run.bench.options.max_batch_rows
    assert all(size <= limit for size in run.bench.model.sizes) or any(job.key is None for job in run.jobs)


def _check_order(run: Run) -> None:
    place = {job: index for index, job in enumerate(run.jobs)}
    for key in {job.key for job in run.jobs}:
        answered = [place[job] for job in run.order if job.key == key and isinstance(run.bench.outcomes[job][0], dict)]
        assert answered == sorted(answered)
