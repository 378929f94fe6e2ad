"""The training process, seen from its supervisor: in a process group of its own, with pipes to it, and gone when we are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from skylift.artifacts import runs
from skylift.artifacts.chunks import ChunkWriter
from skylift.artifacts.records import Cancel, RunSpec
from skylift.errors import SkyliftError
from skylift.store import Store
from training.cluster.description import Cluster
from training.run.ending import Ended
from training.run.masking import Masker
from training.run.output import OutputPump
from training.run.wire import Receiver

PROGRAM = (sys.executable, "-P", "-m", "training", "attempt", "--run")
GRACE_SECONDS = 25.0
"""How long the training process may take to save when it is asked to stop; clouds give 30 s."""
POLL_SECONDS = 0.1
LOOK_SECONDS = 1.0
"""How often cancel.json is looked for and the log is flushed."""


class TrainingProcess:
    """The process that trains, with the pipes to it: its output, what it tells, and the one by whose end it knows of ours."""

    def __init__(
        self,
        command: list[str],
        spec: RunSpec,
        work: Store,
        log: str,
        on_stage: Callable[[str], None],
        masker: Masker,
        asked: threading.Event,
        cluster: Cluster | None = None,
    ) -> None:
        self._work = work
        self._run = spec.id
        self._asked = asked
        self._stop_at: float | None = None
        self._cancel = runs.read_cancel(work, spec.id)
        printed, output = os.pipe()
        told, wire = os.pipe()
        lifeline, self._lifeline = os.pipe()
        self.output = OutputPump(printed, ChunkWriter(work, log), masker)
        self._wire = Receiver(told, lambda text: on_stage(masker.text(text)))
        self._child: subprocess.Popen[bytes] | None = None
        if self._cancel is None and not asked.is_set():
            self._child = subprocess.Popen(
                [*PROGRAM, *command, "--wire", str(wire), "--lifeline", str(lifeline)],
                env=_environment(spec, cluster),
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

    def stop(self, why: str) -> None:
        """As if somebody had asked for it."""
        if not self._asked.is_set():
            self.output.say(f"{why}: saving")
            self._asked.set()

    def watch(self, is_over: Callable[[], bool] = lambda: False) -> Ended:
        """Wait for the end; on the way hand on a stop, look for cancel.json and keep the log fresh.

        Args:
            is_over: asked once a second: whether nobody needs the process any more.
        """
        looked = time.monotonic()
        while self._child is not None and not _has_ended(self._child):
            now = time.monotonic()
            if now - looked >= LOOK_SECONDS:
                looked = now
                self._cancel = self._cancel or self._look_for_cancel()
                self.output.flush()
                if is_over():
                    break
            self._hand_on(now)
        self._finish()
        return Ended(
            outcome=self._wire.outcome,
            code=self._child.wait() if self._child is not None else None,
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


def _environment(spec: RunSpec, cluster: Cluster | None) -> dict[str, str]:
    """Ours and the run's; TF_CONFIG is that of this attempt's group, and none for a process alone."""
    found = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", **spec.env}
    found.pop("TF_CONFIG", None)
    if (
        cluster is not None and cluster.ps
    ):  # else it says every second that a lost worker does not answer; errors are raised
        found.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return found if cluster is None else found | {"TF_CONFIG": cluster.tf_config()}


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
