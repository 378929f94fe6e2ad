"""Drift of real data against a profile made as training makes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from serving.watch.drift import Drift
from serving.watch.meter import Meter
from serving.watch.options import DriftOptions
from serving.watch.render import render
from serving.watch.snapshots import Snapshot
from skylift.artifacts.profile_records import Profile, TensorProfile
from skylift.artifacts.profiles import Bins, profile_of
from skylift.artifacts.psi import psi
from tests.serving.watch.watched import Samples, call

Array = np.ndarray[Any, Any]
OPTIONS = DriftOptions(windows=(1000,), per_second=1e9)


class Task:
    """A real data set, halved: what a model learned from, and what it is asked."""

    def __init__(self, x: Array, y: Array, measure: Any, columns: list[str], shape: tuple[int, ...] = ()) -> None:
        order = np.random.default_rng(1).permutation(len(x))
        known, new = order[: len(x) // 2], order[len(x) // 2 :]
        scaler = StandardScaler().fit(x[known])
        model = LogisticRegression(max_iter=500).fit(scaler.transform(x[known]), y[known])
        self.predict: Callable[[Array], Array] = lambda rows: model.predict_proba(scaler.transform(rows))
        self.shape = shape or x.shape[1:]
        self.clock = 0.0
        self.new = x[new].astype(np.float32)
        train = x[known].astype(np.float32).reshape(-1, *self.shape)
        self.profile = Profile(
            rows=len(known),
            inputs=[profile_of("x", train, measure, columns)],
            outputs=[profile_of("probabilities", self.predict(x[new]), "classes")],
        )

    def ask(self, drift: Drift, change: Callable[[Array], Array] = lambda x: x, version: int = 3) -> None:
        """A thousand rows, four a request."""
        self.clock += 2000.0
        rows = np.random.default_rng(2).integers(0, len(self.new), 1000)
        x = change(self.new[rows].copy())
        y = self.predict(x)
        for at in range(0, 1000, 4):
            given = {"x": x[at : at + 4].reshape(-1, *self.shape)}
            drift.observe(
                call(
                    version=version, rows=4, at=self.clock + at, inputs=given, outputs={"probabilities": y[at : at + 4]}
                )
            )
            if at % 400 == 0:
                drift.settle()
        drift.settle()


@pytest.fixture(scope="module")
def table() -> Task:
    data = load_breast_cancer()
    return Task(data.data, data.target, "features", [str(name) for name in data.feature_names])


@pytest.fixture(scope="module")
def pictures() -> Task:
    data = load_digits()
    return Task(data.data, data.target, "whole", [], shape=(8, 8, 1))


def followed(task: Task) -> Drift:
    drift = Drift(OPTIONS)
    drift.follow("m", 3, task.profile)
    return drift


def shown(drift: Drift) -> Samples:
    snapshot = Meter().snapshot()
    snapshot.drift = drift.gauges()
    drift.close()
    return Samples(render(snapshot)[0])


def indexes(found: Samples, tensor: str) -> dict[str, float]:
    values = found.of("skylift_drift_psi")
    return {dict(labels)["feature"]: value for labels, value in values.items() if dict(labels)["tensor"] == tensor}


class TestTables:
    def test_the_same_data_have_not_drifted(self, table: Task) -> None:
        drift = followed(table)
        table.ask(drift)
        found = shown(drift)
        inputs, outputs = indexes(found, "x"), indexes(found, "probabilities")
        assert len(inputs) == 30
        assert float(np.median(list(inputs.values()))) < 0.1
        assert max(inputs.values()) < 0.25
        assert set(outputs) == {"class", "confidence"}
        assert max(outputs.values()) < 0.1
        assert found("skylift_drift_rows", model="m", version=3, tensor="x", window=1000) == 1000

    def test_one_column_that_moved_is_told_from_the_others(self, table: Task) -> None:
        def in_other_units(x: Array) -> Array:
            x[:, 3] /= 2.54
            return x

        drift = followed(table)
        table.ask(drift, in_other_units)
        inputs = indexes(shown(drift), "x")
        assert inputs["mean area"] > 0.25
        assert inputs["mean area"] == max(inputs.values())
        assert inputs["mean texture"] < 0.25

    def test_other_rows_give_other_classes(self, table: Task) -> None:
        drift = followed(table)
        table.ask(drift, lambda x: x * 1.3)
        found = shown(drift)
        assert indexes(found, "probabilities")["class"] > 0.25
        known = {"model": "m", "version": 3, "tensor": "probabilities", "window": 1000}
        assert found("skylift_drift_psi_max", **known) >= indexes(found, "probabilities")["class"]

    def test_a_column_that_is_missing_now(self, table: Task) -> None:
        def unknown(x: Array) -> Array:
            x[:, 0] = math.nan
            return x

        drift = Drift(OPTIONS)
        drift.follow("m", 3, Profile(rows=1, inputs=table.profile.inputs))
        x = unknown(table.new[:250].copy())
        for at in range(250):
            drift.observe(call(rows=1, at=1000.0 + at, inputs={"x": x[at : at + 1]}, outputs={"y": x[:1, :1]}))
        drift.settle()
        inputs = indexes(shown(drift), "x")
        assert inputs["mean radius"] > 1.0


class TestPictures:
    def test_the_same_and_darker(self, pictures: Task) -> None:
        drift = followed(pictures)
        pictures.ask(drift)
        same = shown(drift)
        assert set(indexes(same, "x")) == {"mean", "deviation", "values"}
        assert max(indexes(same, "x").values()) < 0.1
        assert max(indexes(same, "probabilities").values()) < 0.1
        drift = followed(pictures)
        pictures.ask(drift, lambda x: x * 0.6)
        assert indexes(shown(drift), "x")["mean"] > 0.25


class TestMeasures:
    def compared(self, profile: TensorProfile, values: Array) -> dict[str, float]:
        bins = Bins(profile)
        counts = bins.counts(values).tolist()
        names = [each.name for each in profile.distributions]
        pairs = zip(bins.expected, counts, strict=True)
        return {name: psi(before, now[: len(before)]) for name, (before, now) in zip(names, pairs, strict=True)}

    def test_a_column_of_few_values_shows_one_that_was_never_seen(self) -> None:
        before = np.random.default_rng(1).integers(0, 3, (2000, 1)).astype(np.float32)
        profile = profile_of("x", before, "features")
        assert self.compared(profile, before[:1000])["value"] < 0.02
        assert self.compared(profile, before[:1000] + 7)["value"] > 1.0

    def test_a_constant_that_changed(self) -> None:
        profile = profile_of("x", np.full((1000, 1), 5.0), "features")
        assert self.compared(profile, np.full((500, 1), 5.0))["value"] < 0.01
        assert self.compared(profile, np.full((500, 1), 6.0))["value"] > 1.0

    def test_texts_that_are_few_are_known_by_name(self) -> None:
        rng = np.random.default_rng(1)
        before = rng.choice(np.array([b"red", b"green", b"blue"], dtype=object), (1000, 1), p=[0.6, 0.3, 0.1])
        now = rng.choice(np.array([b"red", b"green", b"mauve"], dtype=object), (1000, 1), p=[0.1, 0.3, 0.6])
        profile = profile_of("colour", before, "strings")
        assert profile.distributions[1].values == ["red", "green", "blue"]
        assert self.compared(profile, before[:500])["texts"] < 0.05
        assert self.compared(profile, now)["texts"] > 0.25

    def test_texts_that_are_many_or_rare_are_never_stored(self) -> None:
        many = np.array([f"person-{at}@example.org".encode() for at in range(500)], dtype=object)
        assert profile_of("mail", many, "strings").distributions[1].values == []
        rare = np.array([b"common"] * 99 + [b"secret"], dtype=object)
        assert profile_of("word", rare, "strings").distributions[1].values == ["common"]

    def test_texts_as_rows_of_bytes(self) -> None:
        rng = np.random.default_rng(1)

        def rows(letters: str) -> Array:
            made = np.zeros((1500, 40), np.uint8)
            for row in made:
                length = rng.integers(10, 30)
                row[:length] = rng.choice(np.frombuffer(letters.encode(), np.uint8), length)
            return made

        profile = profile_of("text", rows("abcdefghij klmnop"), "text")
        same, other = (self.compared(profile, rows(letters)) for letters in ("abcdefghij klmnop", "qrstuvwxyz"))
        assert max(same.values()) < 0.1
        assert other["letters"] > 0.25
        assert other["length"] < 0.1

    def test_no_more_than_32_bins_and_256_features(self) -> None:
        wide = np.random.default_rng(1).normal(size=(3000, 400))
        profile = profile_of("x", wide, "features")
        assert len(profile.distributions) == 256
        assert max(len(each.counts) for each in profile.distributions) <= 32


class TestServing:
    def test_windows_slide(self, table: Task) -> None:
        drift = followed(table)
        table.ask(drift, lambda x: x * 5)
        table.ask(drift)
        table.ask(drift)
        found = shown(drift)
        assert float(np.median(list(indexes(found, "x").values()))) < 0.1
        assert found("skylift_drift_rows", model="m", version=3, tensor="x", window=1000) <= 1000

    def test_workers_are_added_up_row_by_row(self, table: Task) -> None:
        from serving.watch.merging import merge

        parts = []
        for _ in range(2):
            drift = followed(table)
            table.ask(drift)
            parts.append(Snapshot(drift=drift.gauges()))
            drift.close()
        one, both = (Samples(render(merge(chosen))[0]) for chosen in (parts[:1], parts))
        known = {"model": "m", "version": 3, "tensor": "x", "window": 1000}
        assert both("skylift_drift_rows", **known) == 2 * one("skylift_drift_rows", **known)

    def test_few_rows_show_no_index(self, table: Task) -> None:
        drift = followed(table)
        drift.observe(call(inputs={"x": table.new[:1]}, outputs={}))
        drift.settle()
        found = shown(drift)
        assert not indexes(found, "x")
        assert found("skylift_drift_rows", model="m", version=3, tensor="x", window=1000) == 1

    def test_no_more_requests_are_looked_at_than_a_second_allows(self, table: Task) -> None:
        drift = Drift(DriftOptions(windows=(1000,), per_second=10))
        drift.follow("m", 3, table.profile)
        for at in range(1000):
            drift.observe(call(at=1000.0 + at / 1000, inputs={"x": table.new[:1]}, outputs={}))
        drift.settle()
        assert 8 <= shown(drift)("skylift_drift_rows", model="m", version=3, tensor="x", window=1000) <= 12

    @pytest.mark.parametrize(
        "odd",
        [
            np.full((1, 30), np.nan),
            np.full((1, 30), np.inf),
            np.empty((1, 0)),
            np.zeros((1, 7)),
            np.zeros((1, 30, 2)),
            np.array([[b"text"]], dtype=object),
            np.array([[None] * 30], dtype=object),
            np.float32(3),
            np.zeros((1, 30), np.complex64),
        ],
    )
    def test_odd_tensors_stop_nothing(self, table: Task, odd: Any) -> None:
        counts: list[str] = []
        drift = Drift(OPTIONS, lambda reason, _: counts.append(reason))
        drift.follow("m", 3, table.profile)
        drift.observe(call(inputs={"x": odd}, outputs={"probabilities": odd}))
        drift.settle()
        drift.observe(call(at=2000.0, inputs={"x": table.new[:1]}, outputs={"probabilities": np.array([[0.2, 0.8]])}))
        drift.settle()
        rows = shown(drift)("skylift_drift_rows", model="m", version=3, tensor="probabilities", window=1000)
        assert rows in (1, 2)

    def test_versions_without_a_profile_cost_nothing(self) -> None:
        drift = Drift(OPTIONS)
        drift.follow("m", 3, None)
        drift.observe(call(inputs={"x": np.zeros((1, 2))}, outputs={}))
        assert drift.gauges() == []
        drift.close()

    def test_a_version_that_was_let_go_is_forgotten(self, table: Task) -> None:
        drift = followed(table)
        table.ask(drift)
        drift.forget("m", 3)
        assert drift.gauges() == []
        drift.close()
