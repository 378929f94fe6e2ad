"""The parts of a run that work without TensorFlow: masking, batches, claims, code, events of a chart."""

from __future__ import annotations

import os
import sys
import xml.etree.ElementTree as ET
from typing import Any

import msgspec
import numpy as np
import pytest

from skylift.artifacts import layout, runs
from skylift.artifacts.records import Failure, RunStatus, encode, now
from skylift.errors import ConflictError, InputError
from training.contract import Data, Input, Split, Task
from training.loop import batches
from training.loop.checks import check_data, check_task
from training.loop.progress import Best, EpochRow, is_better
from training.recipes.loading import RecipeError
from training.report import charts, judging
from training.run import claim as claiming
from training.run.claim import Claim, claim
from training.run.code import unpack
from training.run.ending import Ended, judge
from training.run.masking import Masker
from training.run.wire import Hindered, Saved

TASK = Task("classification", "sparse_categorical_crossentropy", (Input((2,), "float32", "point"),), ("a", "b", "c"))
REGRESSION = Task("regression", "mean_squared_error", (Input((2,)),), metrics=("mean_absolute_error",), unit="°C")
BINARY = Task("binary", "binary_crossentropy", (Input((2,)),), ("no", "yes"))


class TestMasker:
    @pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
    def test_a_secret_that_reads_cut_in_two_is_masked(self, size: int) -> None:
        printed = b"begin s3cret-value, s3cret-valu s3s3cret-value\ns3cret-value"
        masker = Masker(["s3cret-value"])
        out = b"".join(masker.feed(printed[at : at + size]) for at in range(0, len(printed), size)) + masker.end()
        assert out == b"begin ***, s3cret-valu s3***\n***"

    def test_only_what_may_be_a_secrets_beginning_is_kept_back(self) -> None:
        masker = Masker(["s3cret"])
        assert masker.feed(b"epoch 1 of 2\ns3") == b"epoch 1 of 2\n"
        assert masker.feed(b"ven\n") == b"s3ven\n"

    def test_the_longer_of_two_secrets_goes_first_and_lines_of_a_key_go_alone(self) -> None:
        masker = Masker(["abc", "abcdef", "-----BEGIN-----\nMIIEvQIBADANBg\n-----END-----", ""])
        assert masker.text("abcdef abc MIIEvQIBADANBg x") == "*** *** *** x"


class TestBatches:
    def test_the_order_is_that_of_seed_and_epoch(self) -> None:
        first = batches.order(3, 0, 50)
        assert np.array_equal(first, batches.order(3, 0, 50))
        assert not np.array_equal(first, batches.order(3, 1, 50))
        assert not np.array_equal(first, batches.order(4, 0, 50))
        assert sorted(first) == list(range(50))

    def test_rows_come_in_the_dtypes_of_the_signature(self) -> None:
        split = Split(np.arange(20, dtype=np.float64).reshape(10, 2), np.arange(10) % 3)
        x, y = batches.batch(split, TASK, np.array([3, 1]))
        assert isinstance(x, np.ndarray) and x.dtype == np.float32 and x.tolist() == [[6, 7], [2, 3]]
        assert y.dtype == np.int64 and y.tolist() == [0, 1]
        assert [len(each) for _, each in batches.in_order(split, TASK, 4)] == [4, 4, 2] and batches.count(10, 4) == 3


class TestChecks:
    def test_everything_that_does_not_fit_is_said_at_once(self) -> None:
        good = Split(np.zeros((4, 2), np.float32), np.array([0, 1, 2, 0]))
        bad = Split(np.zeros((3, 5), np.complex64), np.array([0, 1, 7, 8]))
        empty = Split(np.zeros((0, 2), np.float32), np.zeros(0, np.int64))
        with pytest.raises(RecipeError) as caught:
            check_data("mine", Data(good, bad, empty), TASK)
        problems = caught.value.details["problems"]
        assert "the test split is empty" in problems
        assert any("has 3 rows, y has 4" in each for each in problems)
        assert any("rows of shape [5], the task says [2]" in each for each in problems)
        assert any("dtype complex64" in each for each in problems)
        assert any("y holds 7, 8, the labels are 0 to 2" in each for each in problems)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"loss": "mean_squared_error"}, "does not fit classification"),
            ({"labels": ("one",)}, "at least two labels"),
            ({"metrics": ("acuracy",)}, "'acuracy' is none of"),
            ({"inputs": ()}, "at least one"),
            ({"inputs": (Input((1,), "flat32"),)}, "dtype 'flat32'"),
        ],
    )
    def test_a_task_that_contradicts_itself_is_refused(self, change: dict[str, Any], said: str) -> None:
        import dataclasses

        with pytest.raises(RecipeError, match=said):
            check_task("mine", dataclasses.replace(TASK, **change))

    @pytest.mark.parametrize("task", [TASK, REGRESSION, BINARY])
    def test_tasks_that_fit_are_taken(self, task: Task) -> None:
        check_task("mine", task)


class TestBest:
    def row(self, epoch: int, loss: float, **metrics: float) -> EpochRow:
        return EpochRow(epoch=epoch, step=epoch, seconds=1, metrics={"val_loss": loss, **metrics})

    def test_accuracy_is_better_when_it_is_more_an_error_when_it_is_less_and_the_loss_breaks_ties(self) -> None:
        best = Best(run="r", step=1, epoch=1, value=0.9, loss=0.5)
        assert is_better(TASK, self.row(2, 0.9, val_accuracy=0.91), best)
        assert not is_better(TASK, self.row(2, 0.1, val_accuracy=0.89), best)
        assert is_better(TASK, self.row(2, 0.4, val_accuracy=0.9), best)
        assert is_better(REGRESSION, self.row(2, 0.9, val_mean_absolute_error=0.8), best)
        assert not is_better(REGRESSION, self.row(2, 0.1, val_mean_absolute_error=1.0), best)


class TestClaim:
    def test_a_living_holder_is_respected_and_a_dead_one_is_not(self, bench: Any) -> None:
        first = claim(bench.work, "20260101t000000-abcdef")
        with pytest.raises(ConflictError, match=f"process {os.getpid()}"):
            claim(bench.work, "20260101t000000-abcdef")
        dead = msgspec.structs.replace(first, attempt=2, pid_started=first.pid_started - 100)
        bench.work.create(layout.live_attempt(first.id, 2), encode(dead))
        assert claim(bench.work, first.id).attempt == 3

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system keeps the time of day of a start")
    def test_a_clock_that_jumps_kills_no_holder(self, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        claim(bench.work, "20260101t000000-abcdef")
        monkeypatch.setattr("psutil.Process.create_time", lambda self: 1.0)  # counted from a boot time that has moved
        with pytest.raises(ConflictError):
            claim(bench.work, "20260101t000000-abcdef")

    def test_a_holder_elsewhere_lives_as_long_as_it_beats_by_the_stores_clock(
        self, bench: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = "20260101t000000-abcdef"
        other = Claim(id=run, attempt=1, at=now(), host="elsewhere", pid=1, pid_started=0.0)
        bench.work.create(layout.live_attempt(run, 1), encode(other))
        with pytest.raises(ConflictError, match="on elsewhere"):
            claim(bench.work, run)
        monkeypatch.setattr(claiming, "ALIVE_SECONDS", -1.0)
        assert claim(bench.work, run).attempt == 2

    def test_an_attempt_that_said_that_it_ended_does_not_count(self, bench: Any) -> None:
        first = claim(bench.work, "20260101t000000-abcdef")
        runs.write_status(bench.work, RunStatus(id=first.id, state="preempted", beat=now(), attempt=1))
        assert claim(bench.work, first.id).attempt == 2

    def test_of_two_at_the_same_moment_one_gets_it(self, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(claiming, "newest_attempt", lambda work, run_id: None)
        claim(bench.work, "20260101t000000-abcdef")
        with pytest.raises(ConflictError, match="just taken"):
            claim(bench.work, "20260101t000000-abcdef")


class TestCode:
    def test_a_member_that_would_land_elsewhere_is_refused(self, bench: Any) -> None:
        digest = bench.code({"../outside.py": "x = 1"})
        with pytest.raises(InputError, match="cannot be unpacked"):
            unpack(bench.keep, digest, bench.folder / "scratch" / "recipe")
        assert not list(bench.folder.rglob("outside.py"))

    def test_the_folder_holds_the_files_and_nothing_of_the_archive(self, bench: Any) -> None:
        root = unpack(bench.keep, bench.code({"pkg/mine.py": "x = 1"}), bench.folder / "scratch")
        assert (root / "pkg" / "mine.py").read_text() == "x = 1"
        assert [path.name for path in (bench.folder / "scratch").iterdir()] == ["code"]


class TestEnding:
    def judged(self, bench: Any, ended: Ended) -> tuple[str, int, bool]:
        spec = runs.read_spec(bench.keep, bench.ask())
        report = judge(ended, spec, now(), 1, Masker([]))
        return report.state, report.code, report.result is not None

    @pytest.mark.parametrize(
        ("ended", "expected"),
        [
            (Ended(Saved(step=3, epoch=0), 0, None, True), ("preempted", 75, False)),
            (Ended(None, -9, None, False), ("preempted", 75, False)),
            (Ended(None, -9, None, True), ("preempted", 75, False)),
            (Ended(None, None, None, True), ("preempted", 75, False)),
            (Ended(None, -6, None, False), ("failed", 9, True)),
            (Ended(None, 1, None, False), ("failed", 9, True)),
            (
                Ended(Hindered(exit_code=11, kind="unreachable", message="m", hint="h"), 0, None, False),
                ("preempted", 11, False),
            ),
        ],
    )
    def test_what_is_written_and_returned(self, bench: Any, ended: Ended, expected: tuple[str, int, bool]) -> None:
        assert self.judged(bench, ended) == expected

    def test_failures_hold_no_secret(self, bench: Any) -> None:
        from training.run.wire import Failed

        spec = runs.read_spec(bench.keep, bench.ask())
        said = Failed(failure=Failure(kind="recipe", message="token hunter22 refused", hint="not hunter22"))
        result = judge(Ended(said, 0, None, False), spec, now(), 1, Masker(["hunter22"])).result
        assert result is not None and result.failure is not None
        assert (result.failure.message, result.failure.hint) == ("token *** refused", "not ***")


class TestJudging:
    OUTPUTS = np.array([[0.8, 0.1, 0.1], [0.05, 0.9, 0.05], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])
    Y = np.array([0, 0, 2, 2])

    def test_confusion_and_scores(self) -> None:
        counts = judging.confusion(self.Y, judging.classes_of(self.OUTPUTS, TASK), 3)
        assert counts.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 1]]
        a, b, c = judging.scores(counts, TASK.labels)
        assert (a.precision, a.recall, a.f1) == (0.5, 0.5, 0.5)
        assert (b.rows, b.recall, b.precision) == (0, None, 0.0)
        assert (c.precision, c.recall) == (1.0, 0.5)

    def test_the_mistake_it_was_surest_of_comes_first(self) -> None:
        mistakes = judging.worst_mistakes(self.Y, self.OUTPUTS, TASK, 5)
        assert [(each.row, each.predicted, each.true, each.sureness) for each in mistakes] == [
            (1, "b", "a", 0.9),
            (2, "a", "c", 0.6),
        ]

    def test_a_binary_no_is_as_sure_as_it_is_far_from_yes(self) -> None:
        (mistake,) = judging.worst_mistakes(np.array([1, 1]), np.array([[0.2], [0.7]]), BINARY, 5)
        assert (mistake.predicted, mistake.true, round(mistake.sureness or 0, 6)) == ("no", "yes", 0.8)

    def test_largest_errors_of_a_regression(self) -> None:
        first, *_ = judging.largest_errors(np.array([1.0, 5.0]), np.array([[1.5], [9.0]]), REGRESSION, 2)
        assert (first.row, first.true, first.predicted) == (1, "5 °C", "9 °C")


class TestCharts:
    @pytest.mark.parametrize("values", [[1.0], [0.5, 0.5, 0.5], [float("nan"), 2.0], [1e-9, 1e9], [-3.0, 0.0, 4.0]])
    def test_any_values_give_a_chart_inside_its_frame(self, values: list[float]) -> None:
        chart = ET.fromstring(str(charts.lines("loss <b>", [charts.Series("a & b", values)], marked=1)))
        for circle in chart.iter("circle"):
            assert 0 <= float(circle.attrib["cx"]) <= charts.WIDTH and 0 <= float(circle.attrib["cy"]) <= charts.HEIGHT
        assert "nan" not in ET.tostring(chart).decode().lower().replace("finance", "")

    def test_ticks_are_round_and_inside(self) -> None:
        assert charts.Axis(0.0, 1.0, 0, 100).ticks() == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        assert charts.Axis(0.93, 1.01, 0, 100).ticks(4) == [0.94, 0.96, 0.98, 1.0]

    def test_a_scatter_of_many_points_stays_small(self) -> None:
        many = np.random.default_rng(0).normal(size=20_000).tolist()
        assert len(str(charts.scatter("p", many, many, ("true", "predicted")))) < 100_000
