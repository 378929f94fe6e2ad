"""The part of a member that is not the chief: follows the chief's attempts at the run and learns with it, until the run ends."""

from __future__ import annotations

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
from training.cluster.description import Cluster
from training.cluster.surroundings import ALONE, LOCAL, Surroundings
from training.run import codes, gpus
from training.run.claim import newest_attempt
from training.run.ending import Ended, unsaid_failure
from training.run.masking import Masker
from training.run.process import TrainingProcess
from training.run.surrounded import scratch_for, secrets_of
from training.run.wire import Failed, Lost, Saved

LOOK_SECONDS = 0.5
PATIENCE_SECONDS = 900.0
"""How long a member waits for the chief's next attempt before it gives up [s]."""


class MemberFailure(Record, frozen=True, kw_only=True):
    """Why a member cannot go on, however often it is tried."""

    index: int
    failure: Failure


def meet(work: Store, spec: RunSpec, here: Surroundings, attempt: int, gone: Callable[[], bool]) -> Cluster | None:
    """The group of this attempt; None for a process alone, or where nobody waits any more."""
    if here.count == 1:
        return None
    return rendezvous.meet(work, spec.id, attempt, here, _address(here), gone=gone)


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
        code = _learn(run_url, keep, work, spec, here, attempt, asked)
        if code is not None:
            return code


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


def _learn(
    run_url: str, keep: Store, work: Store, spec: RunSpec, here: Surroundings, attempt: int, asked: threading.Event
) -> int | None:
    """One attempt; None where the next one is to be waited for."""

    def is_over() -> bool:
        newest = newest_attempt(work, spec.id)
        return (newest is not None and newest.attempt > attempt) or runs.read_result(keep, spec.id) is not None

    cluster = meet(work, spec, here, attempt, lambda: asked.is_set() or is_over())
    if cluster is None:
        return None
    scratch = scratch_for(spec.id, attempt, here.index)
    try:
        command = [run_url, "--scratch", str(scratch), "--number", str(attempt)]
        masker = Masker(secrets_of(spec, os.environ))
        log = layout.logs(spec.id, here.index)
        process = TrainingProcess(command, spec, work, log, lambda text: None, masker, asked, cluster)
        ended = process.watch(is_over)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if isinstance(ended.outcome, Saved) or ended.was_asked:
        return codes.SAVED
    failed = ended.outcome if isinstance(ended.outcome, Failed) else None if was_lost(ended) else unsaid_failure(ended)
    if failed is None or is_over():
        return None
    told = MemberFailure(index=here.index, failure=failed.failure)
    work.put(layout.live_failure(spec.id, attempt, here.index), encode(told))
    return codes.FAILED


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
