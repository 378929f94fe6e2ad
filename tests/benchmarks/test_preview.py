"""benchmarks/preview.py measures real previews, and its verdicts follow from what it measured."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "preview.py"


@pytest.fixture(scope="module")
def preview() -> ModuleType:
    for sdk in ("pulumi_aws", "pulumi_gcp", "pulumi_azure_native", "pulumi_kubernetes"):
        pytest.importorskip(sdk)
    spec = importlib.util.spec_from_file_location("preview", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["preview"] = module
    spec.loader.exec_module(module)
    return module


def test_each_preview_is_compared_with_the_empty_one_before_it(preview: ModuleType) -> None:
    row = preview.Row("ec2", 100, empty=[(1.0, 1.0), (4.0, 1.0), (2.0, 1.0)], lazy=[(1.5, 1.5), (6.4, 1.5), (3.2, 1.4)])
    assert row.ratio("lazy", 0) == pytest.approx(1.6)
    assert row.ratio("lazy", 1) == pytest.approx(1.5)
    assert row.limit == 2.0


@pytest.mark.parametrize(
    ("resources", "seconds", "is_linear"),
    [
        ([10, 37, 157], [1.0, 1.3, 2.6], True),
        ([10, 37, 157], [1.0, 1.3, 39.0], False),
        ([10, 37, 400], [1.0, 1.3, 4.0], False),
        ([77, 77, 77], [1.0, 1.01, 1.3], True),
    ],
    ids=["the same each", "ever slower", "ever more resources", "none more"],
)
def test_growth(preview: ModuleType, resources: list[int], seconds: list[float], is_linear: bool) -> None:
    assert preview.Growth("ec2", "pools", resources, seconds).is_linear is is_linear


def test_a_target_that_does_not_exist_is_refused() -> None:
    done = subprocess.run([sys.executable, str(PROGRAM), "--targets", "ec3"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no cloud targets: ec3; there are gce, gke" in done.stderr


@pytest.mark.slow
def test_a_stack_costs_less_than_with_a_plain_import(preview: ModuleType) -> None:
    command = [sys.executable, str(PROGRAM), "--targets", "sagemaker", "--grow", "", "--count", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode in (0, 1), done.stderr  # 1: above the limit, on a machine that does other things meanwhile
    (row,) = json.loads(done.stdout)["targets"]
    assert row["resources"] > 50
    assert 1 < row["lazy"]["cpu_ratio"] < row["eager"]["cpu_ratio"]
