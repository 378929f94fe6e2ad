"""Tells the log how long a run's GPUs have had nothing to do, where no machine of ours does: in the pods of a cluster.

One JSON line every five minutes, of which an alarm is made (infra/azure/written.py); the same as a machine's own (infra/boot/train.sh).
Untried on hardware.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping

import msgspec

LOOK_SECONDS = 60.0
TELL_SECONDS = 300.0
BUSY_PERCENT = 5
"""Use of the busiest GPU from which on it counts as busy."""

_ASK = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")


def watch(run: str, environ: Mapping[str, str]) -> None:
    """Begin to tell, in a thread that ends with the process; nothing outside of a cluster, or without GPUs."""
    if "KUBERNETES_SERVICE_HOST" in environ and shutil.which(_ASK[0]):
        threading.Thread(target=_tell, args=(run,), name="gpus", daemon=True).start()


def _tell(run: str) -> None:
    told = Idle(run, time.monotonic())
    while True:
        time.sleep(LOOK_SECONDS)
        line = told.look(use(), time.monotonic())
        if line:
            print(line, flush=True)


class Idle:
    """Since when the GPUs have had nothing to do."""

    def __init__(self, run: str, now: float) -> None:
        self._run = run
        self._busy = self._told = now

    def look(self, percent: int | None, now: float) -> str | None:
        """The line to write, where one is due.

        Args:
            percent: use of the busiest GPU; None where it is not known, which does not count as idle.
            now: by a clock that never goes back [s].
        """
        if percent is None or percent >= BUSY_PERCENT:
            self._busy = now
        if now - self._told < TELL_SECONDS:
            return None
        self._told = now
        facts = {"event": "gpu", "run": self._run, "idle_minutes": int((now - self._busy) // 60)}
        return msgspec.json.encode(facts).decode()


def use(run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run) -> int | None:
    """Use of the busiest GPU [%], None where nvidia-smi does not say."""
    try:
        said = run(_ASK, capture_output=True, text=True, timeout=20, check=True).stdout
        return max(int(each) for each in said.split())
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"the GPUs' use is not known: {error}", file=sys.stderr)
        return None
