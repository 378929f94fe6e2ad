"""Asking for runs, following them to whatever end, going on with them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keyring
import keyring.backends.fail
import msgspec
import psutil
import pytest

from skylift import Stack
from skylift.artifacts import chunks, layout, runs
from skylift.artifacts.records import Event, Failure, PublishedModel, RunResult, RunSpec, RunStatus, Transition, now
from skylift.client import ending, journey, looking, training
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
from tests.client.conftest import StackBench
from tests.serving.waiting import wait_for
from tests.training.conftest import TINY

HOST = socket.gethostname()

ECHO = '''"""Tells what reached it, and ends there."""
import os
from dataclasses import dataclass
from training.contract import Input, Task
import helper


@dataclass(frozen=True)
class Hyperparameters:
    depth: int = 3


def task(hp):
    return Task("regression", "mse", (Input((4,), "float32", "x"),))


def load(hp, source):
    raise NotImplementedError


def build(hp, data):
    raise NotImplementedError


if "REGION" in os.environ:
    raise ValueError(f"{helper.word} {os.environ['REGION']} {os.environ.get('API_TOKEN')} {__file__}")
'''


@pytest.fixture(autouse=True)
def no_keyring() -> Iterator[None]:
    before = keyring.core._keyring_backend
    keyring.set_keyring(keyring.backends.fail.Keyring())
    yield
    keyring.core._keyring_backend = before


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, with a recipe and what it imports."""
    folder = tmp_path / "user"
    folder.mkdir()
    (folder / "echo.py").write_text(ECHO)
    (folder / "helper.py").write_text("word = 'reached'\n")
    (folder / "private.py").write_text("x = 1\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def recorded(bench: StackBench, state: Any = None, pid: int | None = None, **changes: Any) -> Run:
    """A run as its records tell it, without a process behind it."""
    run_id = runs.next_run_id(bench.keep, bench.work.clock())
    plain: dict[str, Any] = {"recipe": "mnist", "model": "mnist", "stack": "local", "target": "local", **changes}
    spec = RunSpec(id=run_id, created=now(), by="test", keep=bench.keep.url, work=bench.work.url, **plain)
    runs.create_run(bench.keep, spec)
    if state is not None:
        beat(bench, run_id, state, pid)
    return Run(bench.stack, run_id)


def beat(bench: StackBench, run_id: str, state: Any, pid: int | None = None, message: str = "") -> None:
    history = [Transition(state="queued", at=now()), Transition(state="running", at=now())]
    status = RunStatus(id=run_id, state=state, beat=now(), host=HOST, pid=pid, message=message, history=history)
    runs.write_status(bench.work, status)


def age(bench: StackBench, run: Run, seconds: float) -> None:
    """As if its last sign of life were older."""
    for key, folder in ((layout.live_status(run.id), bench.work_folder), (layout.run_spec(run.id), bench.keep_folder)):
        path = folder / key
        if path.exists():
            moment = path.stat().st_mtime - seconds
            os.utime(path, (moment, moment))


def end(bench: StackBench, run: Run, state: Any, **facts: Any) -> None:
    runs.write_result(bench.keep, RunResult(id=run.id, state=state, started=now(), ended=now(), **facts))


def tell(bench: StackBench, run: Run, *events: Event | bytes) -> None:
    writer = chunks.ChunkWriter(bench.work, layout.events(run.id), ".jsonl")
    for event in events:
        writer.write(event if isinstance(event, bytes) else msgspec.json.encode(event) + b"\n")
    writer.close()


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


MODEL = PublishedModel(name="mnist", digest="d" * 64, version=1)


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


class TestResume:
    def test_one_that_lives_is_left_alone(self, bench: StackBench, sleeper: subprocess.Popen[bytes]) -> None:
        run = recorded(bench, "running", sleeper.pid)
        with pytest.raises(ConflictError, match="still at work") as told:
            bench.stack.resume(run.id)
        assert "skylift logs -f" in told.value.hint
        assert psutil.Process(sleeper.pid).is_running()

    @pytest.mark.parametrize("how", ["killed", "lost", "preempted", "never begun"])
    def test_one_at_rest_goes_on_under_its_id_and_forgets_a_cancel(
        self, bench: StackBench, here: Path, how: str
    ) -> None:
        packed = training.code.pack("echo.py", here)
        training._send_code(bench.keep, packed)
        run = recorded(bench, recipe="echo", code=packed.digest, model="echo", env={"REGION": "again"})
        if how == "never begun":
            age(bench, run, 90)
        else:
            beat(bench, run.id, "preempted" if how == "preempted" else "running", dead_pid())
            age(bench, run, 90 if how == "lost" else 0)
        before = runs.read_status(bench.work, run.id)
        runs.request_cancel(bench.work, run.id, "test")
        resumed = training.resume(bench.stack, run.id)
        assert resumed.id == run.id
        with pytest.raises(RunFailedError, match="reached again"):
            resumed.wait()
        result = run.result
        assert result is not None
        if before is not None:
            assert result.started == before.history[1].at  # of the first attempt

    def test_one_that_ended_goes_on_as_a_new_run_that_names_it(self, bench: StackBench, here: Path) -> None:
        run = training.start(bench.stack, Request(recipe="echo.py", env={"REGION": "once"}))
        with pytest.raises(RunFailedError):
            run.wait()
        again = training.resume(bench.stack, run.id[-6:])
        spec = runs.read_spec(bench.keep, again.id)
        assert (again.id != run.id, spec.resumed_from, spec.env) == (True, run.id, {"REGION": "once"})
        with pytest.raises(RunFailedError, match="reached once"):
            again.wait()

    def test_one_whose_secret_is_gone_is_not_begun(self, bench: StackBench) -> None:
        run = recorded(bench, "preempted", secrets=["API_TOKEN"])
        with pytest.raises(NotFoundError, match="API_TOKEN"):
            bench.stack.resume(run.id)
        assert run.view().state == "preempted"


class TestJourney:
    """Where the first journey goes on. What would train is only looked at: `start` and `resume` note that they were asked."""

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        asked: list[str] = []

        def start(stack: Stack, request: Request) -> str:
            asked.append(f"start {request.recipe}")
            return "new"

        def resume(stack: Stack, run_id: str) -> str:
            asked.append(f"resume {run_id}")
            return "resumed"

        monkeypatch.setattr(training, "start", start)
        monkeypatch.setattr(training, "resume", resume)
        return asked

    def test_nothing_trained_yet(self, bench: StackBench, asked: list[str]) -> None:
        recorded(bench, recipe="other")
        recorded(bench, stack="elsewhere")
        assert journey.trained(bench.stack) == ("new", False)
        assert asked == ["start mnist"]

    @pytest.mark.parametrize("state", ["failed", "cancelled"])
    def test_a_run_that_ended_badly_is_made_anew(self, bench: StackBench, asked: list[str], state: str) -> None:
        end(bench, recorded(bench, "running"), state)
        journey.trained(bench.stack)
        assert asked == ["start mnist"]

    def test_one_that_is_at_work_is_followed(self, bench: StackBench, asked: list[str]) -> None:
        run = recorded(bench, "running", os.getpid())
        found, done = journey.trained(bench.stack)
        assert (found.id, done, asked) == (run.id, False, [])

    @pytest.mark.parametrize("state", ["preempted", "running"])
    def test_one_at_rest_is_resumed(self, bench: StackBench, asked: list[str], state: str) -> None:
        run = recorded(bench, state, dead_pid())
        journey.trained(bench.stack)
        assert asked == [f"resume {run.id}"]

    def test_one_that_was_lost_is_resumed(self, bench: StackBench, asked: list[str]) -> None:
        run = recorded(bench, "running")
        age(bench, run, 90)
        journey.trained(bench.stack)
        assert asked == [f"resume {run.id}"]

    def test_one_that_published_its_model_is_done(self, bench: StackBench, asked: list[str]) -> None:
        ref = bench.publish_scale(2, name="mnist")
        run = recorded(bench, "running")
        end(bench, run, "succeeded", model=PublishedModel(name="mnist", digest=ref.digest, version=1))
        found, done = journey.trained(bench.stack)
        assert (found.id, done, asked) == (run.id, True, [])

    def test_one_whose_model_was_removed_counts_for_nothing(self, bench: StackBench, asked: list[str]) -> None:
        end(bench, recorded(bench, "running"), "succeeded", model=MODEL)
        journey.trained(bench.stack)
        assert asked == ["start mnist"]

    def test_one_of_a_newer_release_is_passed_over(self, bench: StackBench, asked: list[str]) -> None:
        path = bench.keep_folder / layout.run_spec(recorded(bench).id)
        path.write_text(path.read_text().replace('"schema": 1', '"schema": 99'))
        journey.trained(bench.stack)
        assert asked == ["start mnist"]

    def test_whether_it_is_up(self, bench: StackBench) -> None:
        assert journey.is_up(bench.stack)
        bench.stack.outputs.endpoints.clear()
        assert not journey.is_up(bench.stack)


class TestEnding:
    def test_runs_at_work_are_seen_and_others_not(self, bench: StackBench) -> None:
        run = recorded(bench, "running", os.getpid())
        recorded(bench, "preempted")
        recorded(bench, "running", stack="elsewhere")
        end(bench, recorded(bench, "running"), "failed")
        assert [one.id for one in looking.live(bench.stack)] == [run.id]

    def test_a_killed_run_is_not_waited_for(self, bench: StackBench) -> None:
        run = recorded(bench, "running", dead_pid())
        ending._stop(bench.stack, (run.id,))
        assert runs.read_cancel(bench.work, run.id) is not None

    def test_one_that_stops_is_waited_for(self, bench: StackBench) -> None:
        run = recorded(bench, "running", os.getpid())
        stopping = threading.Thread(target=ending._stop, args=(bench.stack, (run.id,)))
        stopping.start()
        wait_for(lambda: runs.read_cancel(bench.work, run.id), what="the request to stop")
        assert stopping.is_alive()
        end(bench, run, "cancelled")
        stopping.join(20)
        assert not stopping.is_alive()

    def test_one_that_does_not_stop_is_named(self, bench: StackBench, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ending, "STOP_LIMIT", 0.1)
        run = recorded(bench, "running", os.getpid())
        with pytest.raises(ConflictError, match=f"run {run.id} does not stop"):
            ending._stop(bench.stack, (run.id,))


@pytest.mark.slow
class TestWhole:
    def test_train_deploy_predict(self, bench: StackBench, here: Path) -> None:
        (here / "tiny.py").write_text(TINY)
        bench.serve()
        secrets.store(bench.stack.project, "API_TOKEN", "hush-hush-hush")
        run = bench.stack.train("tiny.py", hyperparameters={"epochs": 3}, env={"REGION": "n"}, secrets=["API_TOKEN"])
        assert run.view().state == "succeeded"
        bench.stack.deploy(run.model)
        told = bench.stack.predict([[2.0, 2, 2, 2], [-2, -2, -2, -2]])
        assert [one.label for one in told] == ["high", "low"]

    def test_a_secret_that_a_recipe_prints_is_masked(self, bench: StackBench, here: Path) -> None:
        (here / "tiny.py").write_text(TINY)
        secrets.store(bench.stack.project, "API_TOKEN", "hush-hush-hush")
        request = Request("tiny.py", {"fault": "secret"}, env={"REGION": "north"}, secrets=("API_TOKEN",))
        run = training.start(bench.stack, request)
        with pytest.raises(RunFailedError, match=r"refused \*\*\* by the server in north"):
            run.wait()
        assert b"token *** ends" in run.logs() and b"hush" not in run.logs()

    def test_a_killed_run_is_told_at_once_and_finishes_when_resumed(self, bench: StackBench, here: Path) -> None:
        (here / "tiny.py").write_text(TINY)
        run = training.start(bench.stack, Request("tiny.py", {"epochs": 60}))
        for update in run.follow():
            if update.step > 100:
                break
        status = runs.read_status(bench.work, run.id)
        assert status is not None and status.pid is not None
        os.kill(status.pid, signal.SIGKILL)
        with pytest.raises(UnreachableError, match="stopped without a word"):
            run.wait()
        assert run.view().state == "running"  # its last heartbeat is seconds old, and yet
        resumed = training.resume(bench.stack, run.id)
        result = resumed.wait()
        assert (resumed.id, result.state, result.epochs, result.attempts) == (run.id, "succeeded", 60, 2)
        assert list(run.follow())[-1].finished_epoch in (0, 60)
