"""How training goes with the number of workers: the prediction by hand, and a measurement with real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skylift.errors import InputError
from training.scaling.command import counts_of
from training.scaling.page import render
from training.scaling.predicting import Alone, Wire, wire_of
from training.scaling.records import Measured, Order, Point, Report, Speed
from training.scaling.reporting import report

WIRE = Wire(hop_s=0.001, bandwidth=1e6)
ALONE = Alone(step_s=0.1, batch=32, cores_used=1.0, cores=2, gradient_bytes=10_000)
ORDER = Order(recipe="tiny")


class TestPredicting:
    def test_a_ring_all_reduce_costs_its_hops_and_its_bytes(self) -> None:
        assert WIRE.all_reduce_s(4, 1_000_000) == pytest.approx(6 * 0.001 + 1.5)

    def test_hop_and_bandwidth_come_back_from_the_reductions_that_they_make(self) -> None:
        size = 8 << 20
        found = Measured(
            workers=4,
            batch_size=32,
            speeds=[],
            gradient_bytes=0,
            small_s=WIRE.all_reduce_s(4, 0),
            large_s=WIRE.all_reduce_s(4, size),
            large_bytes=size,
        )
        assert wire_of(found).hop_s == pytest.approx(WIRE.hop_s)
        assert wire_of(found).bandwidth == pytest.approx(WIRE.bandwidth)

    @pytest.mark.parametrize(
        ("workers", "kind", "shares", "step"),
        [
            (1, "same batch", False, 0.1),
            (2, "same batch", False, 0.05 + 0.002 + 0.01),
            (2, "same share", False, 0.1 + 0.002 + 0.01),
            (2, "same batch", True, 0.05 + 0.002 + 0.01),  # two cores for two workers with one each
            (4, "same batch", True, 0.025 * 2 + 0.006 + 0.015),
            (4, "same share", True, 0.1 * 2 + 0.006 + 0.015),
        ],
    )
    def test_a_step_is_computing_and_telling(self, workers: int, kind: Any, shares: bool, step: float) -> None:
        batch = 32 * (workers if kind == "same share" else 1)
        found = ALONE.rows_per_s(workers, kind, WIRE, shares_cores=shares)
        assert found == pytest.approx(batch / step)


class TestReport:
    def measured(self, workers: int, batch_s: float, share_s: float) -> Measured:
        speeds = [
            Speed(kind="same batch", batch=32, step_s=batch_s, spread=0.1, cores=1.0),
            Speed(kind="same share", batch=32 * workers, step_s=share_s, spread=0.1, cores=1.0),
        ]
        return Measured(
            workers=workers,
            batch_size=32,
            speeds=speeds,
            gradient_bytes=10_000,
            small_s=0.001,
            large_s=0.1,
            large_bytes=1 << 20,
        )

    def report(self, gigabits: float = 0.0) -> Report:
        return report(ORDER, [self.measured(1, 0.1, 0.1), self.measured(2, 0.08, 0.125)], gigabits)

    def points(self, made: Report, kind: str) -> dict[int, Point]:
        return {each.workers: each for each in made.points if each.kind == kind}

    def test_efficiency_is_speed_against_so_many_single_workers(self) -> None:
        for kind, efficiency in (("same batch", 0.1 / 0.08 / 2), ("same share", 0.1 / 0.125)):
            found = self.points(self.report(), kind)
            assert found[1].efficiency == pytest.approx(1)
            assert found[2].efficiency == pytest.approx(efficiency)

    def test_beyond_what_was_measured_there_is_a_prediction_only(self) -> None:
        found = self.points(self.report(), "same share")
        assert sorted(found) == [1, 2, 4, 8, 16]
        assert found[2].here is not None
        for workers in (4, 8, 16):
            assert found[workers].rows_per_s is None and found[workers].here is None
            assert found[workers].apart > found[workers // 2].apart

    def test_a_slower_network_predicts_less(self) -> None:
        fast, slow = self.points(self.report(10), "same share"), self.points(self.report(0.01), "same share")
        assert slow[16].apart < fast[16].apart
        assert "as given, 0.01 Gbit/s" in self.report(0.01).wire

    def test_the_page_states_formula_source_and_cores(self) -> None:
        page = render(self.report())
        assert "Patarasuk" in page and "2(N−1)/N × bytes / bandwidth" in page
        assert page.count("<svg") == 4 and "nan" not in page.lower()
        assert "Efficiency is bounded" in page and "http://" not in page


class TestAsking:
    def test_one_worker_is_always_measured(self) -> None:
        assert counts_of("4,2") == [1, 2, 4]

    @pytest.mark.parametrize("text", ["", "0", "two", "1,65", "-1"])
    def test_other_numbers_are_refused(self, text: str) -> None:
        with pytest.raises(InputError, match="is no number of workers"):
            counts_of(text)


@pytest.mark.slow
class TestMeasuring:
    """Real processes over loopback."""

    def scaling(self, bench: Any, *more: str) -> subprocess.CompletedProcess[str]:
        (bench.folder / "tiny.py").write_text(bench.recipe)
        command = [
            sys.executable,
            "-P",
            "-m",
            "training",
            "scaling",
            "tiny",
            "--code-root",
            str(bench.folder),
            "--json",
        ]
        return subprocess.run([*command, *more], capture_output=True, text=True, timeout=150, check=False)

    def test_two_workers_are_measured_beside_what_was_to_be_expected(self, bench: Any) -> None:
        page = bench.folder / "scaling.html"
        done = self.scaling(bench, "--workers", "2", "--steps", "30", "--html", str(page))
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        measured = [each for each in found["points"] if each["rows_per_s"]]
        assert [(each["workers"], each["kind"], each["batch"]) for each in measured] == [
            (1, "same batch", 8),
            (2, "same batch", 8),
            (1, "same share", 8),
            (2, "same share", 16),
        ]
        assert found["gradient_bytes"] == 4 * (4 * 8 + 8 + 8 * 2 + 2)
        assert found["bandwidth"] > 1e6 and 0 < found["hop_s"] < 1
        assert all(each["apart"] > 0 for each in found["points"])
        assert Path(page).read_text().count("<svg") == 4

    def test_a_recipe_that_fails_says_so_once_and_leaves_nobody(self, bench: Any) -> None:
        done = self.scaling(bench, "--workers", "2", "--hyperparameters", '{"batch_size": 400}')
        assert done.returncode == InputError.exit_code
        assert (
            "the training split has 300 rows, a step of 1 worker with 400 each takes 400"
            in json.loads(done.stdout)["error"]["message"]
        )
