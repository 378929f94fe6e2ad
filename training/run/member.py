"""The part of a member that is not the chief: follows the chief's attempts at the run and learns with it, until the run ends."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable

import psutil

from skylift.artifacts import layout, runs
from skylift.artifacts.records import Failure, Record, RunSpec, decode, encode
from skylift.errors import SkyliftError
from skylift.store import ObjectNotFoundError, Store, open_store
from training.cluster import rendezvous
from training.cluster.description import Cluster, role_of
from training.cluster.surroundings import ALONE, LOCAL, Surroundings
from training.run import codes, gpus
from training.run.claim import newest_attempt
from training.run.ending import Ended, unsaid_failure
from training.run.masking import Masker
from training.run.process import GRACE_SECONDS, TrainingProcess
from training.run.surrounded import scratch_for, secrets_of
from training.run.wire import Failed, Lost, Saved

LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 900.0
"""How long a member waits for the chief's next attempt before it gives up [s]."""

RETURNS = 20
"""How often a worker among parameter servers comes back to the same attempt after it was lost."""


class MemberFailure(Record, frozen=True, kw_only=True):
    """Why a member cannot go on, however often it is tried."""

    index: int
    failure: Failure


def meet(work: Store, spec: RunSpec, here: Surroundings, attempt: int, gone: Callable[[], bool]) -> Cluster | None:
    """The group of this attempt; None for a process alone, or where nobody waits any more."""
    if here.count == 1:
        return None
    known = rendezvous.address_of(work, spec.id, attempt, here.index) if spec.ps and here.index else None
    return rendezvous.meet(work, spec.id, attempt, here, known or _address(here), ps=spec.ps, gone=gone)


def help_with(run_url: str, keep: Store, spec: RunSpec, here: Surroundings, asked: threading.Event) -> int:
    """Learn with the chief in each of its attempts; the exit code.

    Raises:
        SkyliftError: see `rendezvous.meet`.
    """
    work = open_store(spec.work)
    gpus.watch(spec.id, os.environ)
    done = 0
    while True:
        attempt = _next_attempt(keep, work, spec.id, done, asked)
        if attempt is None:
            return codes.SAVED if runs.read_result(keep, spec.id) is None else codes.SUCCEEDED
        done = attempt
        code = _follow(run_url, keep, work, spec, here, attempt, asked)
        if code is not None:
            return code


def leaving(work: Store, run_id: str, attempt: int) -> bool:
    """Whether a member of that attempt has to leave: a parameter server, or, where all go in step, any of them."""
    return bool(work.names(layout.live_leaving(run_id, attempt)))


def was_lost(ended: Ended) -> bool:
    """Whether a process of a group ended for want of another member, or was killed itself."""
    if ended.was_asked or ended.cancel is not None:
        return False
    return isinstance(ended.outcome, Lost) or (ended.outcome is None and ended.code is not None and ended.code < 0)


def failure(work: Store, run_id: str, attempt: int) -> Failure | None:
    """What a member of the group failed by in that attempt."""
    for stat in work.names(layout.live_failures(run_id, attempt)):
        return decode(work.get(stat.key).data, MemberFailure, work.where(stat.key)).failure
    return None


def _follow(
    run_url: str, keep: Store, work: Store, spec: RunSpec, here: Surroundings, attempt: int, asked: threading.Event
) -> int | None:
    """One attempt; the exit code, None where the next attempt is to be waited for."""

    def is_over() -> bool:
        newest = newest_attempt(work, spec.id)
        return (newest is not None and newest.attempt > attempt) or runs.read_result(keep, spec.id) is not None

    role = role_of(here.index, here.count, spec.ps)
    if role == "ps" and rendezvous.address_of(work, spec.id, attempt, here.index) is not None:
        return None  # what we held in this attempt is gone: the chief begins anew
    for _ in range(1 + (RETURNS if spec.ps and role == "worker" else 0)):
        cluster = meet(work, spec, here, attempt, lambda: asked.is_set() or is_over())
        if cluster is None:
            return None
        ended = _take_part(run_url, work, spec, here, attempt, asked, cluster, is_over)
        if isinstance(ended.outcome, Saved) or ended.was_asked:
            return codes.SAVED
        if is_over():
            return None
    failed = ended.outcome if isinstance(ended.outcome, Failed) else None if was_lost(ended) else unsaid_failure(ended)
    if failed is None:
        return None
    told = MemberFailure(index=here.index, failure=failed.failure)
    work.put(layout.live_failure(spec.id, attempt, here.index), encode(told))
    return codes.FAILED


def _take_part(
    run_url: str,
    work: Store,
    spec: RunSpec,
    here: Surroundings,
    attempt: int,
    asked: threading.Event,
    cluster: Cluster,
    is_over: Callable[[], bool],
) -> Ended:
    """Run this member's process to its end."""
    scratch = scratch_for(spec.id, attempt, here.index)
    try:
        command = [run_url, "--scratch", str(scratch), "--number", str(attempt)]
        masker = Masker(secrets_of(spec, os.environ))
        log = layout.logs(spec.id, here.index)
        # A parameter server stays until the chief has saved what it holds.
        stopped = threading.Event() if cluster.role == "ps" else asked
        process = TrainingProcess(command, spec, work, log, lambda text: None, masker, stopped, cluster)
        if cluster.role != "ps":
            ended = process.watch(is_over)
            if asked.is_set() and not spec.ps:
                work.put(layout.live_leaving(spec.id, attempt, here.index), b"{}")
            return ended
        farewell = _Farewell(work, spec.id, attempt, here.index, asked)
        ended = process.watch(lambda: is_over() or farewell.is_due(stopped))
        return dataclasses.replace(ended, was_asked=asked.is_set())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Farewell:
    """A parameter server that is asked to stop says so, and leaves when the chief has saved or GRACE_SECONDS are over."""

    def __init__(self, work: Store, run_id: str, attempt: int, index: int, asked: threading.Event) -> None:
        self._work = work
        self._run = run_id
        self._attempt = attempt
        self._index = index
        self._asked = asked
        self._since: float | None = None

    def is_due(self, stopped: threading.Event) -> bool:
        if not self._asked.is_set():
            return False
        if self._since is None:
            self._since = time.monotonic()
            self._work.put(layout.live_leaving(self._run, self._attempt, self._index), b"{}")
        status = runs.read_status(self._work, self._run)
        has_saved = status is not None and status.attempt == self._attempt and status.state != "running"
        if has_saved or time.monotonic() - self._since > GRACE_SECONDS:
            stopped.set()
        return has_saved


def _next_attempt(keep: Store, work: Store, run_id: str, done: int, asked: threading.Event) -> int | None:
    """The chief's next attempt; None where the run has ended, a stop was asked for, or none came for long."""
    begun = time.monotonic()
    while not asked.wait(LOOK_SECONDS):
        try:
            newest = newest_attempt(work, run_id)
            if newest is not None and newest.attempt > done:
                return newest.attempt
            if runs.read_result(keep, run_id) is not None:
                return None
        except (SkyliftError, ObjectNotFoundError):
            continue  # asked again, until the patience ends
        if time.monotonic() - begun > PATIENCE_SECONDS:
            return None
    return None


def _address(here: Surroundings) -> str:
    """Where the others reach this process: what the service says, else a free port of this machine."""
    if here.addresses:
        return here.addresses[here.index]
    is_one_machine = os.environ.get(LOCAL) == "1" or here.source == ALONE.source
    host = "127.0.0.1" if is_one_machine else _own_address()
    with socket.socket() as probe:
        probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"


def _own_address() -> str:
    """The address of the network interface that leads out; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1: an address that nobody has
            address = str(probe.getsockname()[0])
        except OSError:
            address = ""
    if address and not address.startswith("127."):
        return address
    found = [
        each.address
        for interface in psutil.net_if_addrs().values()
        for each in interface
        if each.family == socket.AF_INET and not each.address.startswith("127.")
    ]
    return found[0] if found else "127.0.0.1"
