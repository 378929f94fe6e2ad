"""`training run`: takes an attempt at a run, starts the training process and watches it to its end. Imports no TensorFlow.

The training process runs in a process group of its own and dies with its supervisor. How it ends decides what is written:

    it said `succeeded`                             result.json succeeded    exit 0
    it said `failed`, crashed, or fell silent       result.json failed       exit 9
    cancel.json                                     result.json cancelled    exit 130
    SIGTERM or SIGINT to us, or it was killed       status preempted         exit 75
    this machine or a bucket failed                 status preempted         exit code of the error (6, 7, 11)
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from skylift.artifacts import layout, runs
from skylift.artifacts.chunks import ChunkWriter
from skylift.artifacts.records import Cancel, RunSpec
from skylift.errors import ConflictError, InputError, SkyliftError
from skylift.store import Store, open_store, split_url
from training.run import ending
from training.run.claim import claim
from training.run.live import LiveStatus
from training.run.masking import Masker
from training.run.output import OutputPump
from training.run.wire import Receiver

PROGRAM = (sys.executable, "-P", "-m", "training", "attempt", "--run")
GRACE_SECONDS = 25.0
"""How long the training process may take to save when it is asked to stop; clouds give 30 s."""
POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0
"""How often cancel.json is looked for and the log is flushed."""


def supervise(run_url: str) -> int:
    """Do a run, or go on with it; the exit code.

    Raises:
        ConflictError: the run has ended, or another process is at it.
        InputError: a secret that it names is not in the environment.
    """
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: asked.set())
    keep_url, key = split_url(run_url)
    run_id = key.split("/")[1]
    keep = open_store(keep_url)
    spec = runs.read_spec(keep, run_id)
    _refuse_ended(keep, run_id)
    secrets = _secrets(spec, os.environ)
    work = open_store(spec.work)
    taken = claim(work, run_id)
    status = LiveStatus(work, taken)
    status.start()
    masker = Masker(secrets)
    scratch = _scratch(run_id, taken.attempt)
    try:
        command = [f"{keep_url}/runs/{run_id}", "--scratch", str(scratch), "--number", str(taken.attempt)]
        process = TrainingProcess(command, spec, work, status, masker, asked)
        ended = process.watch()
        report = ending.judge(ended, spec, status.started, taken.attempt, masker)
        return ending.write(report, keep, status, process.output)
    except SkyliftError as error:
        status.end("preempted", masker.text(error.message))
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class TrainingProcess:
    """The process that trains, with the pipes to it: its output, what it tells, and the one by whose end it knows of ours."""

    def __init__(
        self,
        command: list[str],
        spec: RunSpec,
        work: Store,
        status: LiveStatus,
        masker: Masker,
        asked: threading.Event,
    ) -> None:
        self._work = work
        self._run = spec.id
        self._asked = asked
        self._stop_at: float | None = None
        self._cancel = runs.read_cancel(work, spec.id)
        printed, output = os.pipe()
        told, wire = os.pipe()
        lifeline, self._lifeline = os.pipe()
        self.output = OutputPump(printed, ChunkWriter(work, layout.logs(spec.id)), masker)
        self._wire = Receiver(told, lambda text: status.stage(masker.text(text)))
        self._child: subprocess.Popen[bytes] | None = None
        if self._cancel is None and not asked.is_set():
            self._child = subprocess.Popen(
                [*PROGRAM, *command, "--wire", str(wire), "--lifeline", str(lifeline)],
                env=_environment(spec),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(wire, lifeline),
                process_group=0,
            )
        for descriptor in (output, wire, lifeline):
            os.close(descriptor)
        self.output.start()
        self._wire.start()

    def watch(self) -> ending.Ended:
        """Wait for the end; on the way hand on a stop, look for cancel.json and keep the log fresh."""
        looked = time.monotonic()
        while self._child is not None and not _has_ended(self._child):
            now = time.monotonic()
            if now - looked >= LOOK_SECONDS:
                looked = now
                self._cancel = self._cancel or self._look_for_cancel()
                self.output.flush()
            self._hand_on(now)
        self._finish()
        return ending.Ended(
            outcome=self._wire.outcome,
            code=self._child.returncode if self._child is not None else None,
            cancel=self._cancel,
            was_asked=self._asked.is_set(),
        )

    def _hand_on(self, now: float) -> None:
        if self._child is None or not (self._asked.is_set() or self._cancel):
            return
        if self._stop_at is None:
            self._stop_at = now + GRACE_SECONDS
            self._child.send_signal(signal.SIGTERM)
        elif now >= self._stop_at:
            _kill_group(self._child.pid)

    def _look_for_cancel(self) -> Cancel | None:
        try:
            return runs.read_cancel(self._work, self._run)
        except SkyliftError:
            return None  # the bucket does not answer: asked again in a second

    def _finish(self) -> None:
        if self._child is not None:
            _kill_group(self._child.pid)  # what the recipe started and left behind would hold the pipes open
        self.output.join()
        self._wire.join()
        os.close(self._lifeline)


def _environment(spec: RunSpec) -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", **spec.env}


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    try:
        child.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # empty; macOS says so with the second


def _refuse_ended(keep: Store, run_id: str) -> None:
    result = runs.read_result(keep, run_id)
    if result is not None:
        raise ConflictError(
            f"run {run_id} has ended already: {result.state}",
            hint=f"`skylift train --resume {run_id}` starts a new run from what it saved",
            details={"run": run_id, "state": result.state},
        )


def _secrets(spec: RunSpec, environment: Mapping[str, str]) -> list[str]:
    missing = [name for name in spec.secrets if name not in environment]
    if missing:
        raise InputError(
            f"run {spec.id} needs secrets that are not in the environment: {', '.join(missing)}",
            hint="set them, or start the run with `skylift train --secret NAME`, which hands them over",
            details={"missing": missing},
        )
    return [environment[name] for name in spec.secrets]


def _scratch(run_id: str, attempt: int) -> Path:
    """A new folder for this attempt; those that killed attempts of the run left behind go, for the claim is ours."""
    above = Path(tempfile.gettempdir())
    for left in above.glob(f"skylift-{run_id}-*"):
        shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"skylift-{run_id}-{attempt}-"))
