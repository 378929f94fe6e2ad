"""The judge: the right side of chance, whatever the traffic."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from serving import control
from serving.supervisor.judge import fisher, lower_bound, upper_bound
from serving.supervisor.trial import Trial
from serving.traffic import Traffic
from skylift.artifacts.comparing import CanaryLimits

LIMITS = CanaryLimits()


def run(
    count: int,
    *,
    weight: float = 0.1,
    errors: tuple[float, float] = (0.0, 0.0),
    refusals: tuple[float, float] = (0.0, 0.0),
    ms: tuple[float, float] = (20.0, 20.0),
    seed: int = 0,
    limits: CanaryLimits = LIMITS,
    trial: Trial | None = None,
) -> tuple[int, str]:
    """After how many requests the canary was judged worse and why, of pairs for (stable, canary); (count, "") if it was not."""
    draw, trial, done = random.Random(seed), trial or Trial(), 0
    while done < count:
        sides = (Traffic(), Traffic())
        for _ in range(50):
            side = draw.random() < weight
            chance = draw.random()
            status = 500 if chance < errors[side] else 400 if chance < errors[side] + refusals[side] else 200
            sides[side].add(status, draw.lognormvariate(0, 0.5) * ms[side] / 1000)
        done += 50
        trial.merge(control.Counted(Traffic(), *sides))
        if why := trial.judge(limits):
            return done, why
    return done, ""


class TestNotByChance:
    def test_equal_sides_are_left_alone_however_often_they_are_looked_at(self) -> None:
        loose = CanaryLimits(errors=0, refusals=0, median=1.0, p99=1.0, slower_ms=0, requests=10, chance=0.01)
        vetoed = [
            run(5000, errors=(0.05, 0.05), refusals=(0.1, 0.1), seed=seed, weight=0.3, limits=loose)[1]
            for seed in range(60)
        ]
        assert sum(map(bool, vetoed)) <= 3  # 0.6 are to be expected at the most

    @pytest.mark.parametrize(
        "little",
        [
            {"errors": (0.0, 0.005)},
            {"refusals": (0.0, 0.15)},
            {"ms": (20.0, 24.0)},
            {"ms": (1.0, 2.0)},
            {"refusals": (0.5, 0.5), "errors": (0.2, 0.2)},
        ],
    )
    def test_what_the_limits_allow_is_allowed(self, little: dict[str, Any]) -> None:
        assert run(30_000, **little)[1] == ""

    def test_too_few_requests_say_nothing(self) -> None:
        trial = Trial()
        stable, canary = Traffic(), Traffic()
        for _ in range(LIMITS.requests - 1):
            canary.add(500, 0.01)
        for _ in range(10_000):
            stable.add(200, 0.01)
        trial.merge(control.Counted(Traffic(), stable, canary))
        assert trial.judge(LIMITS) == ""

    def test_without_anything_beside_it_nothing_is_said(self) -> None:
        assert run(1000, weight=1.0, errors=(0.0, 1.0))[1] == ""


class TestWorse:
    @pytest.mark.parametrize(
        ("worse", "within", "named"),
        [
            ({"errors": (0.0, 1.0)}, 1300, "end in an error"),
            ({"errors": (0.0, 0.1)}, 5000, "end in an error"),
            ({"errors": (0.01, 0.04)}, 80_000, "end in an error"),
            ({"refusals": (0.0, 1.0)}, 1300, "are refused"),
            ({"ms": (20.0, 60.0)}, 2000, "median latency"),
            ({"ms": (20.0, 45.0)}, 10_000, "median latency"),
        ],
    )
    def test_it_is_seen_soon(self, worse: dict[str, Any], within: int, named: str) -> None:
        for seed in range(5):
            done, why = run(within, seed=seed, **worse)
            assert named in why and done <= within

    def test_a_long_tail_is_seen_though_the_median_is_well(self) -> None:
        draw, trial = random.Random(1), Trial()
        for _ in range(400):
            sides = (Traffic(), Traffic())
            for _ in range(100):
                is_canary = draw.random() < 0.3
                is_slow = is_canary and draw.random() < 0.05
                sides[is_canary].add(200, 0.5 if is_slow else 0.02)
            trial.merge(control.Counted(Traffic(), *sides))
            if why := trial.judge(LIMITS):
                break
        assert "p99 latency" in why

    def test_what_goes_wrong_late_is_not_hidden_by_what_went_well(self) -> None:
        trial = Trial()
        assert run(100_000, trial=trial)[1] == ""
        done, why = run(5000, trial=trial, errors=(0.0, 0.5))
        assert "end in an error" in why and done <= 3000

    def test_questions_can_be_left_out(self) -> None:
        nothing = CanaryLimits(errors=1, refusals=1, median=0, p99=0)
        worse: dict[str, Any]
        for worse in ({"errors": (0.0, 1.0)}, {"refusals": (0.0, 1.0)}, {"ms": (10.0, 500.0)}):
            assert run(5000, limits=nothing, **worse)[1] == ""


class TestFormulas:
    @pytest.mark.parametrize(("bad", "count", "other", "of"), [(3, 4, 1, 4), (7, 20, 1, 30), (40, 100, 200, 900)])
    def test_fisher_is_the_tail_of_the_hypergeometric_distribution(
        self, bad: int, count: int, other: int, of: int
    ) -> None:
        marked, whole = bad + other, count + of
        exact = sum(
            math.comb(marked, hit) * math.comb(whole - marked, count - hit)
            for hit in range(bad, min(marked, count) + 1)
        ) / math.comb(whole, count)
        assert fisher(bad, count, other, of) == pytest.approx(exact, rel=1e-3)

    @pytest.mark.parametrize("quantile", [0.5, 0.99])
    @pytest.mark.parametrize("chance", [0.025, 1e-6])
    @pytest.mark.parametrize("count", [60, 800, 3000])
    def test_bounds_are_those_of_the_binomial_distribution(self, count: int, quantile: float, chance: float) -> None:
        def below(place: int) -> float:
            """How likely fewer than `place` values lie below the quantile."""
            logs = (
                math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
                + k * math.log(quantile) + (count - k) * math.log(1 - quantile)
                for k in range(place)
            )  # fmt: skip
            return math.fsum(map(math.exp, logs))

        low, high = lower_bound(count, quantile, chance), upper_bound(count, quantile, chance)
        if low is not None:
            assert below(low) <= chance < below(low + 1)
        if high is not None:
            assert 1 - below(high) <= chance * 1.001 and 1 - below(high - 1) > chance * 0.999
        else:
            assert quantile**count > chance

    def test_a_million_requests_are_judged_at_once(self) -> None:
        import time

        one = Traffic()
        one.buckets[10] = one.count = 1_000_000
        trial = Trial()
        trial.merge(control.Counted(Traffic(), one, one))
        began = time.perf_counter()
        assert trial.judge(LIMITS) == ""
        assert time.perf_counter() - began < 0.5
