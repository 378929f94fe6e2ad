"""What is left of a stack on this machine, by looking at the machine and not at state: the proof that `down` gives."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skylift.engine import locks
from skylift.stack import processes
from skylift.stack.local import KINDS, LocalFolders, owner, owner_note, read_record
from skylift.stack.project import Project


@dataclass(frozen=True)
class LeftProcess:
    """A process of an endpoint, or of a run: `endpoint` is the name of the one, the id of the other."""

    pid: int
    name: str
    endpoint: str


@dataclass(frozen=True)
class LeftPort:
    host: str
    port: int
    pid: int | None
    endpoint: str


@dataclass(frozen=True)
class LeftBucket:
    """A bucket of the stack that stays. `bytes` and `files` count what is in it."""

    kind: str
    url: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Leftovers:
    """Everything of a stack that still exists here. Buckets stay on purpose; the rest should be empty after `down`."""

    processes: tuple[LeftProcess, ...]
    ports: tuple[LeftPort, ...]
    locks: tuple[Path, ...]
    buckets: tuple[LeftBucket, ...]

    @property
    def clean(self) -> bool:
        """Whether no process, port or lock is left."""
        return not (self.processes or self.ports or self.locks)

    def describe(self) -> str:
        """What should not be there any more, in one line."""
        words = [f"process {one.pid} ({one.name})" for one in self.processes]
        words += [f"port {one.port}" for one in self.ports] + [f"lock {path}" for path in self.locks]
        return ", ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "clean": self.clean,
            "processes": [asdict(process) for process in self.processes],
            "ports": [asdict(port) for port in self.ports],
            "locks": [str(path) for path in self.locks],
            "buckets": [asdict(bucket) for bucket in self.buckets],
        }


def leftovers(project: Project, stack: str) -> Leftovers:
    """Look for processes (by their records, and by the folders they were started with), listening ports, locks and buckets."""
    folders = LocalFolders(project.root, stack)
    running = _processes(folders)
    held = locks.locks(project.backend_url(stack), stack)
    return Leftovers(
        tuple(running), tuple(_ports(folders, running)), tuple(lock.path for lock in held), tuple(_buckets(folders))
    )


def delete_data(project: Project, stack: str) -> tuple[LeftBucket, ...]:
    """Remove the stack's own local buckets with all that is in them, after `down`; buckets it was only given stay.

    Returns:
        What was removed.
    """
    folders = LocalFolders(project.root, stack)
    found = _buckets(folders)
    for bucket in found:
        path = folders.bucket("keep" if bucket.kind == "keep" else "work")
        shutil.rmtree(path)
        owner_note(path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folders.buckets.rmdir()
    return tuple(found)


def _processes(folders: LocalFolders) -> list[LeftProcess]:
    import psutil

    found: dict[int, str] = {}
    for folder in sorted(folders.endpoints.glob("*/")):
        record = read_record(folder)
        if record is not None and processes.born(record.pid) in (None, record.born):
            members = [record.pid] if record.alive else []
            found |= dict.fromkeys([*members, *(pid for pid, _ in processes.session(record.pid))], folder.name)
    endpoints, runs = f"{folders.endpoints}/", f"{folders.bucket('keep').as_uri()}/runs/"
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = process.info["cmdline"] or ()
        argument = next((part for part in command if part.startswith((endpoints, runs))), None)
        if argument and processes.born(process.info["pid"]):
            part = argument.removeprefix(endpoints).removeprefix(runs).split("/")[0]
            found[process.info["pid"]] = part
    return [LeftProcess(pid, _name(pid), endpoint) for pid, endpoint in sorted(found.items())]


def _name(pid: int) -> str:
    import psutil

    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return "?"


def _ports(folders: LocalFolders, running: list[LeftProcess]) -> list[LeftPort]:
    """Ports that the processes found listen on, and recorded ports that anybody of ours still holds."""
    import psutil

    found: dict[tuple[str, int], LeftPort] = {}
    for left in running:
        with contextlib.suppress(psutil.Error):
            for connection in psutil.Process(left.pid).net_connections(kind="tcp"):
                if connection.status == psutil.CONN_LISTEN:
                    key = (connection.laddr.ip, connection.laddr.port)
                    found[key] = LeftPort(*key, left.pid, left.endpoint)
    return sorted(found.values(), key=lambda port: port.port)


def _buckets(folders: LocalFolders) -> list[LeftBucket]:
    found = []
    for kind in KINDS:
        path = folders.bucket(kind)
        if path.is_dir() and owner(path) is not None:
            sizes = [file.lstat().st_size for file in path.rglob("*") if file.is_file()]
            found.append(LeftBucket(kind, path.as_uri(), len(sizes), sum(sizes)))
    return found
