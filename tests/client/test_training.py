"""Asking for runs, following them to whatever end, going on with them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from skylift.artifacts import layout, runs
from skylift.artifacts.records import Event, Failure, RunStatus, now
from skylift.client import training
from skylift.client.training import Request, Run
from skylift.errors import (
    ConflictError,
    InputError,
    MachineError,
    NotFoundError,
    RecipeError,
    RecordError,
    RunFailedError,
    SavedError,
    UnreachableError,
)
from skylift.launch import secrets
from tests.client.conftest import ECHO, StackBench
from tests.client.recorded import MODEL, age, beat, end, recorded, tell

pytestmark = pytest.mark.usefixtures("no_keyring")


class TestFollow:
    def test_a_run_that_succeeds(self, bench: StackBench) -> None:
        run = recorded(bench, "running", os.getpid())
        tell(
            bench,
            run,
            Event(at=now(), kind="plan", steps=20, epochs=2),
            Event(at=now(), kind="stage", text="training"),
            Event(at=now(), kind="step", step=5, epoch=1, metrics={"loss": 0.5}),
            Event(at=now(), kind="epoch", step=10, epoch=1, metrics={"val_loss": 0.4}),
        )
        end(bench, run, "succeeded", model=MODEL, metrics={"accuracy": 0.97})
        seen = list(run.follow())
        last = seen[-1]
        assert (last.steps, last.epochs, last.step, last.stage) == (20, 2, 10, "training")
        assert [one.finished_epoch for one in seen if one.finished_epoch] == [1]
        assert last.epoch_metrics == {"val_loss": 0.4}
        assert run.wait().metrics == {"accuracy": 0.97}
        assert (run.model.version, run.model.digest) == (1, "d" * 64)

    def test_a_follower_sees_what_happens_while_it_looks(self, bench: StackBench) -> None:
        run = recorded(bench, "running", os.getpid())
        looking_on = run.follow()
        assert next(looking_on).state == "running"
        tell(bench, run, Event(at=now(), kind="step", step=1))
        assert next(looking_on).step == 1
        end(bench, run, "succeeded", model=MODEL)
        assert list(looking_on) == []

    @pytest.mark.parametrize("torn", [b'{"at": "2026-', b"\n", b'{"at":1}\n', b'{"kind": "dance"}\n', b"\xff\xfe\n"])
    def test_what_a_killed_writer_left_half_stops_nobody(self, bench: StackBench, torn: bytes) -> None:
        run = recorded(bench, "running", os.getpid())
        tell(bench, run, Event(at=now(), kind="step", step=1), torn)
        tell(bench, run, b"\n", Event(at=now(), kind="step", step=2))
        end(bench, run, "succeeded", model=MODEL)
        assert list(run.follow())[-1].step == 2

    def test_one_that_fails_tells_why_and_what_to_do(self, bench: StackBench) -> None:
        run = recorded(bench, "running", os.getpid())
        failure = Failure(kind="recipe", message="ValueError: no such column", hint="mend load()")
        end(bench, run, "failed", failure=failure)
        with pytest.raises(RunFailedError, match=f"run {run.id} failed: ValueError: no such column") as told:
            run.wait()
        assert (told.value.exit_code, told.value.hint) == (9, "mend load()")
        with pytest.raises(RunFailedError, match="published no model"):
            _ = run.model

    def test_one_that_was_cancelled(self, bench: StackBench) -> None:
        run = recorded(bench, "running", os.getpid())
        run.cancel("enough")
        wish = runs.read_cancel(bench.work, run.id)
        assert wish is not None and wish.why == "enough"
        end(bench, run, "cancelled")
        with pytest.raises(RunFailedError, match="cancelled") as told:
            run.wait()
        assert f"skylift logs {run.id}" in told.value.hint
        with pytest.raises(ConflictError, match="has ended already: cancelled"):
            run.cancel()

    def test_one_at_rest_is_cancelled_at_once_for_nobody_else_would(self, bench: StackBench) -> None:
        run = recorded(bench)
        beat(bench, run.id, "preempted")
        run.cancel("no longer wanted")
        assert run.result is not None and run.result.state == "cancelled"
        with pytest.raises(RunFailedError, match="cancelled"):
            run.wait()

    @pytest.mark.parametrize("message", ["stopped as asked after step 5; saved", ""])
    def test_one_that_was_saved(self, bench: StackBench, message: str) -> None:
        run = recorded(bench)
        beat(bench, run.id, "preempted", message=message)
        with pytest.raises(SavedError) as told:
            run.wait()
        assert told.value.exit_code == 75
        assert told.value.message.endswith(message or "is saved")
        assert f"--resume {run.id}" in told.value.hint

    def test_one_that_is_lost(self, bench: StackBench, monkeypatch: pytest.MonkeyPatch) -> None:
        run = recorded(bench)
        runs.write_status(bench.work, RunStatus(id=run.id, state="running", beat=now(), host="another-machine", pid=1))
        age(bench, run, 90)
        clock = iter(range(0, 10_000, 11))
        monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))  # looks for it every 10 s
        with pytest.raises(UnreachableError, match="stopped without a word") as told:
            run.wait()
        assert told.value.exit_code == 11 and f"--resume {run.id}" in told.value.hint

    def test_one_whose_process_is_killed_is_told_at_once(
        self, bench: StackBench, sleeper: subprocess.Popen[bytes]
    ) -> None:
        run = recorded(bench, "running", sleeper.pid)
        log = bench.stack.project.hidden / "local" / "local" / "runs" / f"{run.id}.log"
        log.parent.mkdir(parents=True)
        log.write_text("something\nSegmentation fault\n")
        looking_on = run.follow()
        assert next(looking_on).state == "running"
        sleeper.send_signal(signal.SIGKILL)  # nobody waits for it: it stays as a zombie, and that is dead, too
        assert list(looking_on) == []
        with pytest.raises(UnreachableError, match="the last was: Segmentation fault"):
            training.ended(run)

    def test_records_of_a_newer_release_say_to_upgrade(self, bench: StackBench) -> None:
        run = recorded(bench, "running", os.getpid())
        path = bench.work_folder / layout.live_status(run.id)
        path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))
        for act in (run.wait, run.view, lambda: training.resume(bench.stack, run.id)):
            with pytest.raises(RecordError, match="schema 99") as told:
                act()
            assert "upgrade" in told.value.hint

    def test_an_unknown_run(self, bench: StackBench) -> None:
        recorded(bench)
        with pytest.raises(NotFoundError, match="no run 'zzz'"):
            bench.stack.run("zzz")


class TestStart:
    """A real run of the training program, which ends before it needs TensorFlow."""

    def start(self, bench: StackBench, **changes: Any) -> Run:
        return training.start(bench.stack, Request(recipe="echo.py", **changes))

    def test_code_environment_and_secret_reach_it_and_the_value_is_recorded_nowhere(
        self, bench: StackBench, here: Path
    ) -> None:
        secrets.store(bench.stack.project, "API_TOKEN", "hush-hush-hush")
        run = self.start(bench, env={"REGION": "north"}, secrets=("API_TOKEN", "API_TOKEN"), seed=4)
        for name in ("echo.py", "helper.py"):
            (here / name).write_text("raise SystemExit('not the files that were sent')")
        with pytest.raises(RunFailedError, match=r"ValueError: reached north \*\*\*") as told:
            run.wait()
        assert str(here) not in told.value.message
        spec = runs.read_spec(bench.keep, run.id)
        assert (spec.recipe, spec.model, spec.seed, spec.env) == ("echo", "echo", 4, {"REGION": "north"})
        assert spec.secrets == ["API_TOKEN"] and spec.code is not None
        held = [path for path in bench.folder.rglob("*") if path.is_file() and b"hush-hush" in path.read_bytes()]
        assert held == [bench.stack.project.hidden / "secrets" / "API_TOKEN"]
        assert b"reached north ***" in run.logs()

    def test_only_what_the_recipe_reaches_is_sent_and_once(self, bench: StackBench, here: Path) -> None:
        first = self.start(bench, env={"REGION": "north"})
        second = self.start(bench, env={"REGION": "south"})
        archives = list((bench.keep_folder / "code").iterdir())
        assert len(archives) == 1
        assert b"private" not in archives[0].read_bytes()
        for run in (first, second):
            with pytest.raises(RunFailedError):
                run.wait()
        assert first.id != second.id

    @pytest.mark.parametrize(
        ("changes", "kind", "said"),
        [
            ({"hyperparameters": {"dept": 4}}, InputError, "did you mean 'depth'"),
            ({"hyperparameters": {"depth": 2.5}}, InputError, "must be a whole number"),
            ({"secrets": ("NOT_KEPT", "NOR_THIS")}, NotFoundError, "NOT_KEPT, NOR_THIS"),
            ({"secrets": ("A",), "env": {"A": "x"}}, InputError, "both as --env and as --secret"),
            ({"env": {"": "x"}}, InputError, "cannot be set"),
            ({"env": {"A": "x\0y"}}, InputError, "cannot be set"),
            ({"model": "My Model"}, InputError, "model name 'My Model'"),
            ({"data": Path("no/such/folder")}, InputError, "is no folder"),
        ],
    )
    def test_mistakes_are_told_before_anything_is_recorded(
        self, bench: StackBench, here: Path, changes: dict[str, Any], kind: type[Exception], said: str
    ) -> None:
        with pytest.raises(kind, match=said):
            self.start(bench, **changes)
        assert bench.stack.runs() == []

    def test_an_unknown_recipe_and_one_that_is_no_python(self, bench: StackBench, here: Path) -> None:
        with pytest.raises(NotFoundError, match="did you mean 'mnist'"):
            bench.stack.train("mnits")
        (here / "broken.py").write_text("x = (\n")
        with pytest.raises(RecipeError, match=r"broken\.py, line 1"):
            bench.stack.train("broken.py")
        assert bench.stack.runs() == []

    def test_numbers_of_any_kind_are_hyperparameters(self, bench: StackBench, here: Path) -> None:
        import numpy as np

        run = self.start(bench, hyperparameters={"depth": np.int64(5)}, env={"REGION": "x"})
        assert runs.read_spec(bench.keep, run.id).hyperparameters == {"depth": 5}
        with pytest.raises(RunFailedError):
            run.wait()

    def test_a_program_that_ends_before_it_says_a_word_is_told_at_once(self, bench: StackBench, here: Path) -> None:
        run = self.start(bench, env={"PYTHONHOME": "/nowhere"})
        with pytest.raises(UnreachableError, match="stopped without a word; the last was: "):
            run.wait()

    def test_a_log_folder_that_cannot_be_made(self, bench: StackBench, here: Path) -> None:
        (bench.stack.project.hidden / "local").write_text("in the way")
        with pytest.raises(MachineError, match="cannot be started") as told:
            self.start(bench)
        run = bench.stack.run()
        assert f"--resume {run.id}" in told.value.hint

    def test_names_of_files_and_folders_become_allowed_ones(self, bench: StackBench, here: Path) -> None:
        (here / "_My_Recipe.py").write_text(ECHO)
        for folder, name in (("My Data! (2)", "my-data-2"), ("данные", "data")):
            (here / folder).mkdir()
            (here / folder / "x.csv").write_text("1\n")
            run = training.start(bench.stack, Request("_My_Recipe.py", data=here / folder, env={"REGION": "x"}))
            spec = runs.read_spec(bench.keep, run.id)
            assert spec.model == "my-recipe"
            assert spec.dataset is not None and spec.dataset.startswith(f"{name}@")
            with pytest.raises(RunFailedError):
                run.wait()

    def test_two_at_once_are_two_runs(self, bench: StackBench, here: Path) -> None:
        started: list[Run] = []

        def act(region: str) -> None:
            started.append(self.start(bench, env={"REGION": region}))

        threads = [threading.Thread(target=act, args=(region,)) for region in ("north", "south")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len({run.id for run in started}) == 2
        for run in started:
            with pytest.raises(RunFailedError, match=runs.read_spec(bench.keep, run.id).env["REGION"]):
                run.wait()
