"""Whatever ends a run ends it clearly: a result, or a state from which the same command goes on."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from skylift.artifacts import layout, runs

LONG = {"epochs": 60, "checkpoint_seconds": 0.2, "steps_per_call": 3}
"""38 steps in each of 60 epochs: a few seconds of training, saved in mid-epoch."""


class TestQuickly:
    """Faults that show before TensorFlow is imported."""

    def test_a_recipe_that_raises_fails_the_run_with_its_last_line_and_keeps_the_traceback_in_the_log(
        self, bench: Any
    ) -> None:
        run = bench.ask(hp={"fault": "raise"})
        code, printed = bench.run(run)
        result = bench.result(run)
        assert code == 9
        assert result.state == "failed"
        assert result.failure.kind == "recipe"
        assert "ValueError: no such column: petal (tiny.py, line" in result.failure.message
        assert "Traceback (most recent call last)" in bench.log(run)
        assert bench.status(run).state == "failed"
        assert "Traceback" in printed and "skylift logs" in result.failure.hint

    def test_secrets_are_masked_in_log_output_result_and_status(self, bench: Any) -> None:
        run = bench.ask(hp={"fault": "secret"}, secrets=["API_TOKEN"], env={"REGION": "mars-1"})
        code, printed = bench.run(run, {"API_TOKEN": "hunter2-hunter2"})
        assert code == 9
        assert "token *** ends" in bench.log(run)
        assert "refused *** by the server in mars-1" in bench.result(run).failure.message
        everything = b"".join(path.read_bytes() for path in bench.folder.rglob("*") if path.is_file()).decode(
            errors="replace"
        )
        assert "hunter2-hunter2" not in everything + printed

    def test_a_secret_that_nobody_handed_over_is_named(self, bench: Any) -> None:
        run = bench.ask(secrets=["API_TOKEN"])
        code, printed = bench.run(run)
        assert code == 3
        assert "API_TOKEN" in printed
        assert bench.result(run) is None

    def test_wrong_hyperparameters_come_all_at_once(self, bench: Any) -> None:
        run = bench.ask(hp={"epocks": 3, "batch_size": "many", "fault": "nane"})
        code, _ = bench.run(run)
        message = bench.result(run).failure.message
        assert code == 9
        assert "did you mean 'epochs'?" in message
        assert "batch_size = 'many': must be a whole number" in message
        assert "did you mean 'nan'?" in message

    def test_an_unknown_recipe_names_near_misses(self, bench: Any) -> None:
        run = bench.ask("mnits")
        assert bench.run(run)[0] == 9
        assert "did you mean 'mnist'?" in bench.result(run).failure.message

    def test_a_run_that_does_not_exist_is_not_found(self, bench: Any) -> None:
        code, printed = bench.run("20200101t000000-abcdef")
        assert code == 4
        assert "Traceback" not in printed

    @pytest.mark.parametrize(("fault", "how"), [("crash", "crashed with SIGSEGV"), ("leave", "left with exit code 3")])
    def test_a_process_that_vanishes_by_its_own_doing_fails_the_run(self, bench: Any, fault: str, how: str) -> None:
        run = bench.ask(hp={"fault": fault})
        assert bench.run(run)[0] == 9
        assert how in bench.result(run).failure.message

    def test_a_finished_run_is_not_done_twice(self, bench: Any) -> None:
        run = bench.ask(hp={"fault": "raise"})
        bench.run(run)
        code, printed = bench.run(run)
        assert code == 5
        assert "has ended already: failed" in printed

    def test_changed_code_is_refused(self, bench: Any) -> None:
        digest = bench.code({"tiny.py": "changed"})
        bench.keep.put(f"code/{digest}.tar", b"other bytes")
        run = bench.ask(code=digest)
        assert bench.run(run)[0] == 9
        assert "was changed" in bench.result(run).failure.message

    def test_a_run_that_was_cancelled_before_it_began_does_nothing(self, bench: Any) -> None:
        run = bench.ask()
        runs.request_cancel(bench.work, run, "tester", "not needed")
        assert bench.run(run)[0] == 130
        assert bench.result(run).state == "cancelled"
        assert "not needed" in bench.status(run).message


@pytest.mark.slow
class TestAtWork:
    """Faults in the middle of training."""

    def test_kill_9_at_a_random_step_then_the_same_command_finishes_with_the_same_bits(self, bench: Any) -> None:
        straight, broken = bench.ask(hp=LONG | {"deterministic": True}), bench.ask(hp=LONG | {"deterministic": True})
        assert bench.run(straight)[0] == 0
        process = bench.start(broken)
        wanted = random.randrange(1, 1500)
        bench.wait_for(lambda: max(bench.saved_steps(broken), default=0) >= wanted)
        (child,) = psutil.Process(process.pid).children()
        process.kill()
        bench.wait_for(lambda: not child.is_running())
        assert bench.result(broken) is None
        code, printed = bench.run(broken)
        result = bench.result(broken)
        assert code == 0, printed
        resumed = int(re.search(r"resumed from step (\d+)", printed)[1])
        assert wanted <= resumed < 2280
        assert (result.steps, result.epochs, result.attempts) == (2280, 60, 2)
        assert result.metrics == bench.result(straight).metrics
        assert weights(bench, broken) == weights(bench, straight)
        epochs = [event.epoch for event in bench.events(broken) if event.kind == "epoch"]
        assert set(epochs) == set(range(1, 61))

    def test_sigterm_saves_the_step_and_leaves_with_75(self, bench: Any) -> None:
        run = bench.ask(hp={"epochs": 5000})
        process = bench.start(run)
        bench.wait_for(lambda: bench.saved_steps(run))
        process.send_signal(signal.SIGTERM)
        printed = process.communicate(timeout=60)[0].decode()
        assert process.returncode == 75, printed
        assert bench.result(run) is None
        status = bench.status(run)
        assert status.state == "preempted"
        step = int(re.search(r"after step (\d+)", status.message)[1])
        assert step in bench.saved_steps(run)

    def test_cancel_ends_the_run_and_a_new_one_goes_on_from_it(self, bench: Any) -> None:
        run = bench.ask(hp={"epochs": 5000})
        process = bench.start(run)
        bench.wait_for(lambda: bench.saved_steps(run))
        runs.request_cancel(bench.work, run, "tester", "enough")
        process.communicate(timeout=60)
        assert process.returncode == 130
        assert bench.result(run).state == "cancelled"
        done = max(bench.saved_steps(run)) // 38
        following = bench.ask(hp={"epochs": done + 2}, resumed_from=run)
        code, printed = bench.run(following)
        assert code == 0, printed
        assert f"of run {run}" in printed
        assert bench.result(following).epochs == done + 2

    def test_a_killed_training_process_leaves_the_run_resumable(self, bench: Any) -> None:
        run = bench.ask(hp={"epochs": 5000})
        process = bench.start(run)
        bench.wait_for(lambda: bench.saved_steps(run))
        (child,) = psutil.Process(process.pid).children()
        child.kill()
        process.communicate(timeout=60)
        assert process.returncode == 75
        assert bench.result(run) is None
        assert "SIGKILL" in bench.status(run).message

    def test_a_second_program_at_the_same_run_is_refused(self, bench: Any) -> None:
        run = bench.ask(hp={"epochs": 5000})
        first = bench.start(run)
        bench.wait_for(lambda: runs.read_status(bench.work, run))
        code, printed = bench.run(run)
        assert code == 5
        assert f"process {first.pid}" in printed
        assert first.poll() is None

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            ("nan", "the loss became NaN or infinite at step 1,"),
            ("shape", "the model gives [3] per row, the task has 2 labels"),
        ],
    )
    def test_what_cannot_be_learned_fails_the_run_and_says_where(self, bench: Any, fault: str, said: str) -> None:
        run = bench.ask(hp={"fault": fault})
        code, _ = bench.run(run)
        assert code == 9
        assert said in bench.result(run).failure.message
        assert bench.result(run).failure.hint

    @pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small file system")
    @pytest.mark.parametrize("full", ["bucket", "scratch"])
    def test_a_full_disk_stops_with_a_clear_error_and_the_run_goes_on_when_there_is_room(
        self, bench: Any, small: Path, full: str
    ) -> None:
        where = {"work": f"file://{small}"} if full == "bucket" else {}
        run = bench.ask(hp=LONG, **where)
        (small / "ballast").write_bytes(b"x" * (150_000 if full == "bucket" else 190_000))
        code, printed = bench.run(run, {} if full == "bucket" else {"TMPDIR": str(small)})
        assert code == 6, printed
        assert "the disk is full" in printed
        assert "Traceback" not in printed
        assert bench.result(run) is None
        for manifest in bench.folder.glob("*/checkpoints/*/*/manifest.json"):  # a folder without one does not exist
            files = json.loads(manifest.read_bytes())["files"]
            assert files and all((manifest.parent / each["path"]).stat().st_size == each["size"] for each in files)
        (small / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        code, printed = bench.run(run)
        assert code == 0, printed
        assert bench.result(run).epochs == 60
        assert "disk is full" in bench.log(run) or full == "bucket"


@pytest.fixture
def small(bench: Any) -> Iterator[Path]:
    """A file system of 220 KiB beside the buckets."""
    folder: Path = bench.folder / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=220k", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def weights(bench: Any, run: str) -> dict[str, bytes]:
    """The last checkpoint, byte for byte: weights, seeds, and all that the optimizer remembers."""
    folder = layout.checkpoint(run, max(bench.saved_steps(run)))
    return {name: bench.work.get(f"{folder}/{name}.data-00000-of-00001").data for name in ("weights", "state")}
