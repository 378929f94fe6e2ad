"""One attempt at a time: an attempt is claimed by a create-only record, and a claim whose holder is dead does not count."""

from __future__ import annotations

import os
import socket
from datetime import datetime
from pathlib import Path

import psutil

from skylift.artifacts import layout, runs
from skylift.artifacts.records import FINAL, Record, RunStatus, decode, encode, now
from skylift.errors import ConflictError
from skylift.store import ObjectExistsError, Store

ALIVE_SECONDS = 30.0
"""A holder elsewhere that has not beaten for so long, by the store's clock, is dead. The beat is 5 s."""

_PROC = Path("/proc/self")


class Claim(Record, frozen=True, kw_only=True):
    """live/<run>/attempts/<n>.json."""

    id: str
    attempt: int
    at: datetime
    host: str
    pid: int
    pid_started: float
    """Tells the process from a later one of the same number."""


def claim(work: Store, run_id: str) -> Claim:
    """Take the next attempt at a run.

    Raises:
        ConflictError: another attempt lives, or claimed it at the same moment.
    """
    before = newest_attempt(work, run_id)
    status = runs.read_status(work, run_id)
    if before is not None and not _is_over(before, status) and _is_alive(work, before):
        raise ConflictError(
            f"run {run_id} is being done already, by process {before.pid} on {before.host}",
            hint="follow it with `skylift logs -f`, or stop it with `skylift cancel`",
            details={"run": run_id, "host": before.host, "pid": before.pid},
        )
    attempt = 1 + max(before.attempt if before else 0, status.attempt if status else 0)
    taken = Claim(id=run_id, attempt=attempt, at=now(), host=host(), pid=os.getpid(), pid_started=_started(os.getpid()))
    try:
        work.create(layout.live_attempt(run_id, attempt), encode(taken))
    except ObjectExistsError:
        raise ConflictError(f"run {run_id} was just taken by another process", hint="follow that one") from None
    return taken


def host() -> str:
    return socket.gethostname()


def newest_attempt(work: Store, run_id: str) -> Claim | None:
    """The claim that counts now."""
    found = work.names(layout.live_attempts(run_id))
    if not found:
        return None
    key = found[-1].key
    return decode(work.get(key).data, Claim, work.where(key))


def _is_over(before: Claim, status: RunStatus | None) -> bool:
    """The attempt said itself that it has ended."""
    if status is None or status.attempt != before.attempt:
        return False
    return status.state in FINAL or status.state == "preempted"


def _is_alive(work: Store, before: Claim) -> bool:
    if before.host == host():
        return _started(before.pid) == before.pid_started != 0.0
    beats = [work.stat(layout.live_status(before.id)), work.stat(layout.live_attempt(before.id, before.attempt))]
    times = [beat.modified for beat in beats if beat is not None]
    return (work.clock() - max(times)).total_seconds() < ALIVE_SECONDS if times else False


def _started(pid: int) -> float:
    """When the process began; 0 where there is none, or only its entry that nobody has waited for yet.

    On Linux in clock ticks since boot, for psutil's time of day moves when somebody sets the clock.
    """
    if _PROC.is_dir():
        try:
            fields = (_PROC.parent / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return 0.0
        return 0.0 if fields[0] in "ZX" else float(fields[19])
    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return 0.0
