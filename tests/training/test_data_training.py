"""A run on a prepared dataset, of which every split lies in several shards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skylift.artifacts import models
from training.data import adding, shards
from training.data.adding import Order
from training.data.schema import Asked

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def test_a_recipe_learns_from_shards(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 8 * 1024)
    order = Order("examinations", "sklearn:breast_cancer", bench.keep.url, Asked(test_share=0.25))
    added = adding.add(order, lambda done, total, text: None)
    assert all(len(split.shards) > 1 for split in added.description.splits.values())
    run = bench.ask("tabular", model="tabular", dataset=added.ref, hp={"epochs": 25})
    code, printed = bench.run(run)
    assert code == 0, printed
    assert bench.result(run).metrics["accuracy"] >= 0.94
    assert f"{added.description.splits['train'].rows} train" in printed
    assert models.read_manifest(bench.keep, models.resolve(bench.keep, "tabular")).dataset == added.ref


def test_the_benchmark_of_memory_holds_with_a_small_set(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(REPOSITORY / "benchmarks" / "data.py"),
        "--size-gb",
        "0.05",
        "--folder",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0 and done.stdout.rstrip().endswith("ok"), done.stdout + done.stderr
