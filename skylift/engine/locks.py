"""Locks that a killed engine left in a `file://` backend. Cloud backends keep theirs: nobody here can know who holds them."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path

from skylift.engine.environment import state_folder
from skylift.stack import processes
from skylift.stack.project import NAME


@dataclass(frozen=True)
class Lock:
    """A lock file of Pulumi's, with what it says of its holder."""

    path: Path
    pid: int
    host: str
    user: str
    since: str

    @property
    def stale(self) -> bool:
        """Whether its process ran on this machine and runs no more."""
        return self.host == socket.gethostname() and not _is_engine(self.pid)


def locks(url: str, stack: str) -> list[Lock]:
    """Every lock on a stack in a `file://` backend."""
    folder = state_folder(url)
    if folder is None:
        return []
    found = []
    for path in sorted((folder / "locks" / "organization" / NAME / stack).glob("*.json")):
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            found.append(Lock(path, int(said["pid"]), said["hostname"], said["username"], said["timestamp"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # gone meanwhile, or being written at this moment
    return found


def clear_stale(url: str, stack: str) -> list[Lock]:
    """Remove the locks whose process is dead; those of living ones and of other machines stay."""
    stale = [lock for lock in locks(url, stack) if lock.stale]
    for lock in stale:
        lock.path.unlink(missing_ok=True)
    for half in _half_written(url, stack):
        half.unlink(missing_ok=True)
    return stale


def _half_written(url: str, stack: str) -> list[Path]:
    """Locks that an engine could not finish, on a full disk: it holds nothing, but takes what it finds there for a lock."""
    folder = state_folder(url)
    if folder is None:
        return []
    found = list((folder / "locks" / "organization" / NAME / stack).glob("*.tmp"))
    if found:  # one that is being written at this moment is gone in a few milliseconds
        processes.wait_until(lambda: not any(path.exists() for path in found), 1)
    return found


def end_orphans(root: Path) -> None:
    """End language hosts of this project whose engine is dead: they would notice only after some minutes."""
    import psutil

    for pid, birth in processes.by_argument(f"-root={root}"):
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            parent = process.parent()
            if process.name().startswith("pulumi-lang") and (parent is None or "pulumi" not in parent.name()):
                processes.end(pid, birth)


def _is_engine(pid: int) -> bool:
    """Whether that process runs and is a Pulumi engine; its pid may be somebody else's by now."""
    if processes.born(pid) is None:
        return False
    import psutil

    try:
        return "pulumi" in psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
