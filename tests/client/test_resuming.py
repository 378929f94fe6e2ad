"""Going on with runs, the first journey, taking a stack away, and the whole with real training."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import psutil
import pytest

from skylift import Stack
from skylift.artifacts import layout, runs
from skylift.artifacts.records import PublishedModel
from skylift.client import ending, journey, looking, training
from skylift.client.training import Request
from skylift.errors import (
    ConflictError,
    NotFoundError,
    RunFailedError,
    UnreachableError,
)
from skylift.launch import secrets
from tests.client.conftest import StackBench
from tests.client.recorded import MODEL, age, beat, dead_pid, end, recorded
from tests.serving.waiting import wait_for
from tests.training.conftest import TINY

pytestmark = pytest.mark.usefixtures("no_keyring")


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
