"""`training run`: takes an attempt at a run, starts the training process and watches it to its end. Imports no TensorFlow.

The training process runs in a process group of its own and dies with its supervisor. How it ends decides what is written:

    it said `succeeded`                             result.json succeeded    exit 0
    it said `failed`, crashed, or fell silent       result.json failed       exit 9
    cancel.json                                     result.json cancelled    exit 130
    SIGTERM or SIGINT to us, or it was killed       status preempted         exit 75
    this machine or a bucket failed                 status preempted         exit code of the error (6, 7, 11)

In a group this is the supervisor of member 0, the chief. Where another member is lost all begin anew from the newest checkpoint,
as an attempt of their own; with parameter servers, where one of these is: a worker's loss the others make up for.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import threading

from skylift.artifacts import layout, runs
from skylift.artifacts.records import RunSpec
from skylift.errors import ConflictError, MachineError, SkyliftError
from skylift.store import Store, open_store, split_url
from training.cluster.surroundings import Surroundings, look
from training.run import ending, gpus, member
from training.run.claim import claim
from training.run.companions import Companions, follow_parent
from training.run.live import LiveStatus
from training.run.masking import Masker
from training.run.process import TrainingProcess
from training.run.surrounded import scratch_for, secrets_of
from training.run.wire import Failed

FAREWELL_LOOKS, FAREWELL_SECONDS = 6, 0.5
"""How often, and after how many seconds each, a group that lost a member looks whether that had been asked to leave."""

RESTARTS = 20
"""How often a group may lose members before it gives up until somebody resumes the run."""


def supervise(run_url: str) -> int:
    """Do a run, or go on with it; the exit code.

    On a machine that is not the first of a group this does that member's part (training/run/member.py).

    Raises:
        ConflictError: the run has ended, or another process is at it.
        InputError: a secret that it names is not in the environment, or the surroundings do not fit the run.
        MachineError: not all members of a group came, or they were lost again and again.
    """
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: asked.set())
    keep_url, key = split_url(run_url)
    keep = open_store(keep_url)
    spec = runs.read_spec(keep, key.split("/")[1])
    here = look(os.environ, spec.members, ps=spec.ps)
    if here.index:
        follow_parent(os.environ, asked)
        return member.help_with(run_url, keep, spec, here, asked)
    _refuse_ended(keep, spec.id)
    secrets_of(spec, os.environ)
    gpus.watch(spec.id, os.environ)
    companions = Companions(run_url, spec.members if here.count == 1 else 1)
    here = dataclasses.replace(here, count=spec.members)
    try:
        for _ in range(1 + RESTARTS):
            code = _attempt(run_url, keep, spec, here, asked, companions)
            if code is not None:
                return code
        raise MachineError(
            f"the group of run {spec.id} lost a member {1 + RESTARTS} times",
            hint=f"look at its machines, then `skylift train --resume {spec.id}`",
        )
    finally:
        companions.end()


def _attempt(
    run_url: str, keep: Store, spec: RunSpec, here: Surroundings, asked: threading.Event, companions: Companions
) -> int | None:
    """One attempt: its exit code; None where a member was lost and the group is to begin anew."""
    work = open_store(spec.work)
    taken = claim(work, spec.id)
    status = LiveStatus(work, taken)
    status.start()
    masker = Masker(secrets_of(spec, os.environ))
    scratch = scratch_for(spec.id, taken.attempt)
    try:
        companions.start()
        cluster = member.meet(work, spec, here, taken.attempt, lambda: asked.is_set() or _is_cancelled(work, spec.id))
        command = [run_url, "--scratch", str(scratch), "--number", str(taken.attempt)]
        process = TrainingProcess(command, spec, work, layout.logs(spec.id), status.stage, masker, asked, cluster)
        ended = process.watch(lambda: _look_after(work, spec, taken.attempt, companions, process))
        if cluster is not None and member.was_lost(ended):
            failed = member.failure(work, spec.id, taken.attempt)
            if failed is None and _was_left(work, spec, taken.attempt, asked):
                ended = dataclasses.replace(ended, was_asked=True)
            elif failed is None:
                status.end("preempted", "a member of the group was lost")
                process.output.say("a member of the group was lost: all begin anew from the newest checkpoint")
                process.output.flush()
                return None
            else:
                ended = dataclasses.replace(ended, outcome=Failed(failure=failed))
        report = ending.judge(ended, spec, status.started, taken.attempt, masker)
        return ending.write(report, keep, status, process.output)
    except SkyliftError as error:
        status.end("preempted", masker.text(error.message))
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _was_left(work: Store, spec: RunSpec, attempt: int, asked: threading.Event) -> bool:
    """Whether the member that was lost had been asked to leave: it comes to no other attempt. It may be about to say so."""
    for _ in range(0 if spec.ps else FAREWELL_LOOKS):
        if member.leaving(work, spec.id, attempt):
            return True
        if asked.wait(FAREWELL_SECONDS):
            return True
    return False


def _look_after(work: Store, spec: RunSpec, attempt: int, companions: Companions, process: TrainingProcess) -> bool:
    """With parameter servers, of which none may leave before the state is saved, and workers, of which any may be lost."""
    if spec.ps:
        companions.replace_killed()
        leaving = member.leaving(work, spec.id, attempt)
        if leaving or companions.have_left(range(1, 1 + spec.workers)):
            process.stop("a parameter server has to leave" if leaving else "no worker is left")
    return False


def _is_cancelled(work: Store, run_id: str) -> bool:
    return runs.read_cancel(work, run_id) is not None


def _refuse_ended(keep: Store, run_id: str) -> None:
    result = runs.read_result(keep, run_id)
    if result is not None:
        raise ConflictError(
            f"run {run_id} has ended already: {result.state}",
            hint=f"`skylift train --resume {run_id}` starts a new run from what it saved",
            details={"run": run_id, "state": result.state},
        )
