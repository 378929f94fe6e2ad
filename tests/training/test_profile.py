"""The profile that goes into a model's manifest, and what serving sees by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from skylift.artifacts import layout, models, transfer
from skylift.artifacts.profile_records import Profile
from skylift.artifacts.profiles import Bins
from skylift.artifacts.psi import psi
from skylift.artifacts.records import ModelManifest, decode, encode, now
from tests.training.small import BINARY, CLASSES, TWO_INPUTS, VALUES, split
from training.contract import Input, Split, Task
from training.export.profile import make_profile
from training.export.running import onnx_session
from training.export.signature import signature_of

RNG = np.random.default_rng(1)


def shift(profile: Profile, side: str, values: Any, at: int = 0) -> dict[str, float]:
    known = getattr(profile, side)[at]
    bins = Bins(known)
    counts = bins.counts(values).tolist()
    return {
        each.name: psi(expected, now[: len(expected)])
        for each, expected, now in zip(known.distributions, bins.expected, counts, strict=True)
    }


@pytest.mark.parametrize(
    ("task", "outputs", "measure", "names"),
    [
        (CLASSES, RNG.dirichlet([1, 1, 1], 500), "classes", ["class", "confidence"]),
        (BINARY, RNG.random((500, 1)), "probability", ["class", "probability"]),
        (VALUES, RNG.normal(size=(500, 1)), "features", ["value"]),
        (VALUES, RNG.normal(size=500), "features", ["value"]),
    ],
)
def test_outputs_by_what_they_mean(task: Task, outputs: Any, measure: str, names: list[str]) -> None:
    profile = make_profile(task, split(task, 500), outputs.astype(np.float32))
    (output,) = profile.outputs
    assert (output.measure, [each.name for each in output.distributions]) == (measure, names)
    assert all(sum(each.counts) + each.missing == 500 for each in output.distributions)
    (point,) = profile.inputs
    assert (point.name, point.measure, len(point.distributions)) == ("point", "features", 4)
    assert max(shift(profile, "inputs", split(task, 2000, seed=5).x).values()) < 0.1
    assert min(shift(profile, "inputs", split(task, 2000, seed=5).x + 2).values()) > 0.25  # type: ignore[operator]


def test_several_inputs() -> None:
    profile = make_profile(TWO_INPUTS, split(TWO_INPUTS, 300), RNG.normal(size=(300, 1)))
    assert [(each.name, each.measure) for each in profile.inputs] == [("left", "features"), ("right", "whole")]


@pytest.mark.parametrize(
    ("shape", "kind", "measure"),
    [
        ((28, 28, 1), "image", "whole"),
        ((20, 3), "sequence", "whole"),
        ((50,), "text", "text"),
        ((50,), "tensor", "features"),
    ],
)
def test_inputs_by_their_kind(shape: tuple[int, ...], kind: Any, measure: str) -> None:
    task = Task("regression", "mean_squared_error", (Input(shape, "uint8", "x"),), input_kind=kind)
    x = RNG.integers(0, 256, (300, *shape), dtype=np.uint8)
    profile = make_profile(task, Split(x, np.zeros(300)), RNG.normal(size=(300, 1)))
    assert profile.inputs[0].measure == measure
    assert max(shift(profile, "inputs", x).values()) < 0.01


def test_columns_have_their_names() -> None:
    names = ("age", "height", "weight", "income")
    task = Task("regression", "mean_squared_error", (Input((4,), "float32", "x"),), input_names=names)
    profile = make_profile(task, split(VALUES, 300), RNG.normal(size=(300, 1)))
    assert [each.name for each in profile.inputs[0].distributions] == list(names)


@pytest.mark.parametrize(
    "odd", [np.full((300, 4), np.nan), np.full((300, 4), np.inf), np.zeros((300, 4)), np.full((300, 4), 1e38)]
)
def test_odd_data_have_a_profile_that_a_manifest_can_hold(odd: Any) -> None:
    profile = make_profile(CLASSES, Split(odd.astype(np.float32), np.zeros(300, np.int64)), odd[:, :3])
    manifest = ModelManifest(
        name="m",
        created=now(),
        by="t",
        signature=signature_of(CLASSES, [None, 3]),
        formats={},
        files=[],
        profile=profile,
    )
    assert decode(encode(manifest), ModelManifest, "here").profile == profile


def test_large_rows_are_looked_at_in_part() -> None:
    task = Task("regression", "mean_squared_error", (Input((100, 100, 3), "uint8", "x"),), input_kind="image")
    x = np.zeros((1000, 100, 100, 3), np.uint8)
    assert make_profile(task, Split(x, np.zeros(1000)), np.zeros((1000, 1))).rows < 300


@pytest.mark.slow
def test_a_published_model_knows_what_it_learned_from(bench: Any) -> None:
    run = bench.ask("tabular", model="cells", hp={"epochs": 5})
    code, printed = bench.run(run)
    assert code == 0, printed
    ref = models.resolve(bench.keep, "cells")
    manifest = models.read_manifest(bench.keep, ref)
    assert manifest.profile is not None
    assert len(encode(manifest)) < 100_000
    folder = bench.folder / "copy"
    transfer.download_folder(bench.keep, layout.model(ref.name, ref.digest), manifest.files, folder)
    session = onnx_session(folder / manifest.formats["onnx"].path)
    rows = load_breast_cancer().data.astype(np.float32)
    name = manifest.signature.inputs[0].name
    answers = [session.run(None, {name: given})[0] for given in (rows, rows * 2)]
    assert max(shift(manifest.profile, "inputs", rows).values()) < 0.1
    assert float(np.median(list(shift(manifest.profile, "inputs", rows * 2).values()))) > 0.25
    same, other = (shift(manifest.profile, "outputs", given)["class"] for given in answers)
    assert same < 0.1 < 0.25 < other
