"""What batches cost is learned, and how great they should be."""

from __future__ import annotations

import random

import pytest

from serving.batching.cost import CostModel
from serving.batching.tuning import Tuner


def test_a_line_is_found_in_noise() -> None:
    chance = random.Random(1)
    cost = CostModel()
    for _ in range(300):
        rows = chance.randint(1, 64)
        cost.learn(rows, (0.002 + 0.0003 * rows) * chance.uniform(0.9, 1.1))
    for rows in (1, 8, 64):
        assert cost.seconds(rows) == pytest.approx(0.002 + 0.0003 * rows, rel=0.15)


def test_a_change_is_followed_and_a_pause_is_not() -> None:
    cost = CostModel({1: 0.002, 64: 0.02})
    cost.learn(64, 30.0)
    assert cost.seconds(64) < 0.1
    for _ in range(200):
        cost.learn(1, 0.004)
        cost.learn(64, 0.04)
    assert cost.seconds(64) == pytest.approx(0.04, rel=0.05)


def test_batches_of_one_size_do_not_make_the_others_free_or_dear() -> None:
    cost = CostModel({1: 0.011, 10: 0.020})
    for _ in range(400):
        cost.learn(10, 0.030)
    assert cost.seconds(10) == pytest.approx(0.030, rel=0.01)
    assert 0.008 < cost.seconds(1) < 0.020
    assert 0.030 < cost.seconds(20) < 0.060


def test_what_was_slow_only_for_being_the_first_is_forgotten() -> None:
    cost = CostModel({1: 5.0, 64: 5.0})
    for _ in range(10):
        cost.learn(1, 0.001)
    assert cost.seconds(1) < 0.02


def test_nothing_is_negative_whatever_is_measured() -> None:
    cost = CostModel()
    for rows, seconds in ((1, 0.5), (64, 0.001), (32, 0.4), (2, 0.0)):
        cost.learn(rows, seconds)
        assert all(cost.seconds(size) >= 0 for size in (0, 1, 64, 10_000))


@pytest.mark.parametrize(("fixed", "fewest"), [(0.0, 1), (0.00007, 4), (0.0011, 32)])
def test_the_knee_is_where_a_greater_batch_gains_little(fixed: float, fewest: int) -> None:
    cost = CostModel({rows: fixed + 0.00026 * rows for rows in (1, 4, 16, 64)})
    knee = cost.knee(64)
    assert knee == pytest.approx(fewest, abs=3)
    assert cost.seconds(knee) / knee <= cost.seconds(64) / 64 / 0.94 * 1.001


def tuned(per_row: dict[int, float], latency_seconds: float = 0.0) -> Tuner:
    measured = {rows: rows * cost for rows, cost in per_row.items()}
    return Tuner(64, measured=measured, latency_seconds=latency_seconds)


def test_the_smallest_size_is_taken_that_costs_about_the_least() -> None:
    assert tuned({1: 330, 2: 300, 4: 285, 8: 268, 16: 262, 32: 261, 64: 261}).rows == 8


def test_a_size_at_which_rows_get_dearer_is_left() -> None:
    assert tuned({1: 9, 2: 5, 4: 3, 8: 2, 16: 2.5, 32: 3, 64: 4}).rows == 8


def test_batches_that_take_no_time_are_not_made_smaller() -> None:
    assert tuned(dict.fromkeys((1, 2, 4, 8, 16, 32, 64), 0.0003)).rows == 32  # 9.6 ms
    assert tuned(dict.fromkeys((1, 2, 4, 8, 16, 32, 64), 1e-05)).rows == 64


def test_beyond_what_was_measured_nothing_is_ruled_out() -> None:
    assert tuned({1: 330, 2: 300}).rows == 64


def test_a_limit_of_time_bounds_the_size() -> None:
    assert tuned({1: 0.010, 8: 0.005, 16: 0.004, 64: 0.003}, latency_seconds=0.050).rows == 8


def test_other_sizes_are_tried_now_and_then_and_a_change_is_found() -> None:
    tuner = tuned({1: 4.0, 2: 4.0, 4: 4.0, 8: 4.0, 16: 4.0, 32: 4.0, 64: 4.0})
    assert tuner.rows == 1
    tried = set()
    for _ in range(64 * 200):  # the machine has changed: from now on a batch costs the same whatever it holds
        rows = tuner.next_rows(1000)
        tried.add(rows)
        tuner.learn(rows, 4.0)
    assert tried == {1, 2, 4, 8, 16, 32, 64}
    assert tuner.rows == 64


def test_only_what_waits_is_tried() -> None:
    tuner = tuned({1: 1.0, 64: 1.0})
    assert {tuner.next_rows(3) for _ in range(1000)} <= {1, 2}


def test_only_allowed_sizes_are_chosen() -> None:
    tuner = Tuner(48, (6, 12, 48), measured={6: 6.0, 12: 6.0, 48: 24.0})
    assert tuner.rows == 12
