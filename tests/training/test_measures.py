"""Measures on the test split, held against scikit-learn and against what must be true of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.contract import Input, Task
from training.report.measures import calibration, measures

X = (Input((4,)),)
THREE = Task("classification", "sparse_categorical_crossentropy", X, ("a", "b", "c"))
TWO = Task("binary", "binary_crossentropy", X, ("no", "yes"))
VALUE = Task("regression", "mean_squared_error", X, metrics=("mean_absolute_error",))


@given(st.integers(0, 10_000))
def test_they_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn import metrics

    rng = np.random.default_rng(seed)
    y, outputs = np.concatenate([np.arange(3), rng.integers(0, 3, 57)]), rng.dirichlet([1, 1, 1], 60)
    found, guess = measures(y, outputs, THREE), outputs.argmax(axis=1)
    for name, score in (
        ("precision", metrics.precision_score),
        ("recall", metrics.recall_score),
        ("f1", metrics.f1_score),
    ):
        assert found[name] == pytest.approx(score(y, guess, average="macro", zero_division=0))
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(y, outputs, multi_class="ovr"))
    yes, share = np.concatenate([[0, 1], rng.integers(0, 2, 40)]), rng.random((42, 1))
    found = measures(yes, share, TWO)
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(yes, share[:, 0]))
    truth, value = rng.normal(size=30), rng.normal(size=(30, 1))
    assert measures(truth, value, VALUE)["r2"] == pytest.approx(metrics.r2_score(truth, value[:, 0]))


def test_a_model_that_is_as_often_right_as_it_says_has_no_calibration_error() -> None:
    outputs = np.array([[0.75, 0.25, 0.0]] * 4)
    assert measures(np.array([0, 0, 0, 1]), outputs, THREE)["calibration_error"] == pytest.approx(0)
    assert measures(np.array([1, 1, 1, 1]), outputs, THREE)["calibration_error"] == pytest.approx(0.75)
    (one,) = calibration(np.array([0, 0, 0, 1]), outputs, THREE)
    assert (one.rows, one.sureness, one.right) == (4, 0.75, 0.75)


def test_a_sure_no_counts_as_sure() -> None:
    bins = calibration(np.array([0, 1]), np.array([[0.02], [0.98]]), TWO)
    assert [(each.rows, each.right) for each in bins] == [(2, 1.0)]


def test_labels_that_do_not_occur_and_values_that_do_not_vary_are_left_out() -> None:
    found = measures(np.array([0, 0, 1]), np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.9, 0]]), THREE)
    assert "roc_auc" not in found and found["recall"] == pytest.approx((0.5 + 1) / 2)
    assert measures(np.ones(4), np.ones((4, 1)), VALUE) == {}
