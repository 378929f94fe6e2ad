"""Whether data has moved: named where it has, silent where only chance speaks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skylift.errors import InputError
from skylift.store import Store, open_store
from training.data import drift


def table(path: Path, rows: int, seed: int, *, income: float = 0.0, cities: str = "aab") -> Path:
    rng = np.random.default_rng(seed)
    with path.open("w") as file:
        file.write("age,income,city,note,left\n")
        for _ in range(rows):
            note = " ".join(rng.choice(["quiet", "busy", "late"], 3))
            values = (rng.normal(40, 9), rng.normal(income, 1), rng.choice([*cities]), note, rng.choice(["no", "yes"]))
            file.write("{:.4f},{:.4f},{},{},{}\n".format(*values))
    return path


@pytest.fixture
def keep(tmp_path: Path) -> Store:
    (tmp_path / "keep").mkdir()
    return open_store((tmp_path / "keep").as_uri())


def added(keep: Store, source: Path, **asked: Any) -> str:
    program = [sys.executable, "-P", "-m", "training", "data", "add", "--name=people", f"--source={source}", "--json"]
    asked = {"target": "left", "types": {"note": "text"}, **asked}
    done = subprocess.run(
        [*program, f"--keep={keep.url}", f"--options={json.dumps(asked)}"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    dataset: str = json.loads(done.stdout)["dataset"]
    return dataset


def test_what_has_moved_is_named_and_what_has_not_is_not(keep: Store, tmp_path: Path) -> None:
    before = added(keep, table(tmp_path / "a.csv", 900, 1))
    same = added(keep, table(tmp_path / "b.csv", 700, 2))
    moved = added(keep, table(tmp_path / "c.csv", 700, 3, income=0.8, cities="abbc"))
    assert [each for each in drift.of_versions(keep, before, same, tmp_path / "one") if each.has_moved] == []
    found = {each.column for each in drift.of_versions(keep, before, moved, tmp_path / "two") if each.has_moved}
    assert found == {"income", "city"}


def test_few_rows_move_by_chance_and_other_columns_are_no_drift(keep: Store, tmp_path: Path) -> None:
    before = added(keep, table(tmp_path / "a.csv", 900, 1))
    few = added(keep, table(tmp_path / "b.csv", 70, 2))
    shifts = drift.of_versions(keep, before, few, tmp_path / "one")
    assert not any(each.has_moved for each in shifts) and max(each.limit for each in shifts) > drift.LIMIT
    other = added(keep, table(tmp_path / "c.csv", 300, 2), ignore=["age"])
    with pytest.raises(InputError, match="the datasets have other columns: age"):
        drift.of_versions(keep, before, other, tmp_path / "two")
    fewer = added(keep, table(tmp_path / "d.csv", 30, 2))
    with pytest.raises(InputError, match="rows to train on: too few"):
        drift.of_versions(keep, before, fewer, tmp_path / "three")


def test_the_index_is_the_sum_over_bins_of_equal_share() -> None:
    before = np.repeat(np.arange(10.0), 100)
    half = np.concatenate([before[:500], before[:500]])  # five of ten bins are empty now, the others twice as full
    shift = drift._shift("x", "values", before, half)
    p, q = np.full(10, 100.5) / 1005.5, np.where(np.arange(10) < 5, 200.5, 0.5) / 1005.5
    assert shift.psi == pytest.approx(float(((q - p) * np.log(q / p)).sum()), rel=1e-2) and shift.has_moved
    assert drift._shift("x", "values", before, before).psi == 0
