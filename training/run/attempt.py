"""The training process: does the work and tells its supervisor how it ended."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

from skylift.artifacts import runs
from skylift.artifacts.records import Failure
from skylift.errors import (
    ConflictError,
    CredentialsError,
    MachineError,
    SkyliftError,
    UnreachableError,
)
from skylift.store import open_store, split_url
from training.cluster.losing import is_loss
from training.loop.stopping import Stopped, StopSignal
from training.recipes.loading import last_line
from training.run import codes
from training.run.wire import Failed, Helped, Hindered, Lost, Outcome, Saved, Sender
from training.run.work import Work

_HINDRANCES = (MachineError, UnreachableError, CredentialsError, ConflictError)
"""Errors of the surroundings: the same run may succeed when it is tried again."""

_PR_SET_PDEATHSIG = 1


def attempt(run_url: str, scratch: Path, number: int, wire: int, lifeline: int) -> int:
    """Do the run `run_url` from where it stands; never returns, for TensorFlow's own teardown takes a second and tells nobody."""
    sender = Sender(wire)
    _die_with_supervisor(lifeline)
    stop = StopSignal()
    stop.install()
    keep_url, key = split_url(run_url)
    keep = open_store(keep_url)
    spec = runs.read_spec(keep, key.split("/")[1])
    work = Work(spec, keep, open_store(spec.work), scratch, stop, sender, number)
    outcome = _outcome(work)
    sender.send(outcome)
    sys.stdout.flush()
    sys.stderr.flush()
    if isinstance(outcome, Helped):
        threading.Event().wait()  # TensorFlow takes a member that leaves for lost; our supervisor ends us when the chief is done
    os._exit(codes.SUCCEEDED)


def _outcome(work: Work) -> Outcome:
    try:
        return work.do()
    except Stopped:
        progress = work.progress
        return Saved(step=progress.step, epoch=progress.epoch, hyperparameters=work.hyperparameters)
    except _HINDRANCES as error:
        return Hindered.by(error)
    except SkyliftError as error:
        return _failed(work, error.kind, error.message, error.hint)
    except Exception as error:
        if _is_disk_full(error):
            return Hindered.by(_disk_full(error))
        if is_loss(error):
            print(f"another member of the group is gone: {last_line(error)}", flush=True)
            return Lost(message=last_line(error))
        traceback.print_exc()
        hint = (
            "lower batch_size" if "ResourceExhausted" in type(error).__name__ or isinstance(error, MemoryError) else ""
        )
        return _failed(
            work, "error", last_line(error), hint or "the whole traceback is in the run's log: `skylift logs RUN`"
        )


def _failed(work: Work, kind: str, message: str, hint: str) -> Failed:
    failure = Failure(kind=kind, message=message, hint=hint)
    progress = work.progress
    return Failed(failure=failure, steps=progress.step, epochs=progress.epoch, hyperparameters=work.hyperparameters)


def _is_disk_full(error: BaseException) -> bool:
    return getattr(error, "errno", None) in (28, 122) or "No space left on device" in str(error)


def _disk_full(error: Exception) -> MachineError:
    return MachineError(
        f"the disk is full: {last_line(error)}",
        hint="free some space, or point TMPDIR at a larger disk, and run the same command again",
    )


def _die_with_supervisor(lifeline: int) -> None:
    """The supervisor holds the other end: when it is gone, by whatever signal, so are we and all that the recipe started."""
    os.set_inheritable(lifeline, False)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def wait() -> None:
        os.read(lifeline, 1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
