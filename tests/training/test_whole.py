"""Whole runs, as a person would see them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skylift.artifacts import datasets, models

pytestmark = pytest.mark.slow


def test_real_digits_are_learned_published_and_reported(bench: Any) -> None:
    run = bench.ask("mnist", model="digits")
    code, printed = bench.run(run)
    assert code == 0, printed
    result = bench.result(run)
    assert result.state == "succeeded" and result.metrics["accuracy"] >= 0.95
    assert (result.epochs, result.attempts) == (8, 1)
    ref = models.resolve(bench.keep, "digits")
    assert (result.model.version, result.model.digest) == (ref.version, ref.digest)
    manifest = models.verify(bench.keep, ref)
    assert [(each.name, each.dtype, each.shape) for each in manifest.signature.inputs] == [
        ("image", "float32", [None, 28, 28, 1])
    ]
    assert manifest.task.labels == list("0123456789") and manifest.task.dark_background is True
    assert manifest.run == run and manifest.metrics == result.metrics
    assert set(manifest.formats) == {"saved_model", "onnx", "keras"}
    assert all(each.parity.holds and each.parity.rows == 256 for each in manifest.formats.values())
    report = bench.keep.get(f"runs/{run}/report.html").data.decode()
    assert report.count("data:image/png") >= 25 and "Confusion matrix" in report
    assert "Traceback" not in printed and "WARNING" not in printed
    assert [line for line in bench.log(run).splitlines() if line.startswith("epoch 8 of 8")]
    kinds = [event.kind for event in bench.events(run)]
    assert kinds.index("plan") < kinds.index("step") < kinds.index("test")
    assert bench.status(run).state == "succeeded"
    assert list((bench.folder / "tmp").glob("skylift-*")) == []


def test_a_users_package_with_a_dataset_trains_and_goes_on_after_a_kill_behind_the_publish(bench: Any) -> None:
    files = bench.folder / "points"
    files.mkdir()
    np.save(files / "points.npy", np.random.default_rng(1).normal(size=(400, 4)).astype("float32"))
    dataset = datasets.publish(bench.keep, "points", files, {})
    code = bench.code({"shop/__init__.py": "", "shop/tiny.py": bench.recipe})
    run = bench.ask("shop.tiny", code=code, dataset=dataset, hp={"epochs": 3})
    assert bench.run(run)[0] == 0
    first = bench.result(run)
    bench.keep.delete([f"runs/{run}/result.json"])  # as if it was killed between the publish and the result
    assert bench.run(run)[0] == 0
    again = bench.result(run)
    assert again.model == first.model and again.attempts == 2
    assert [alias.version for alias in models.list_versions(bench.keep, "points")] == [1]
    assert models.read_manifest(bench.keep, models.resolve(bench.keep, "points")).dataset == dataset
