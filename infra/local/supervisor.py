"""The processes of a local endpoint: started in a session of their own, known by pid and birth, adopted when found, stopped with all
they started."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from skylift.errors import MachineError, ProvisionError
from skylift.stack import processes
from skylift.stack.local import ProcessRecord, read_record, write_record

READY_WITHIN = 180.0
"""How long a supervisor may take until it is ready [s]: TensorFlow on a busy machine needs half a minute."""

_STOP_MARGIN = 5.0

_children: list[subprocess.Popen[bytes]] = []
"""Supervisors that this process started: they outlive it, and while it lives it must take note of their end."""


@dataclass(frozen=True)
class Spec:
    """All that a supervisor is started with. Another spec needs another process.

    Args:
        folder: the endpoint's own folder: process.json, supervisor.log, cache/.
        port: 0 takes a free one and keeps it.
        release: of skylift, so that an upgrade restarts what it upgraded.
        setting: where the port is set, for errors.
    """

    name: str
    folder: str
    keep: str
    work: str
    host: str
    port: int
    workers: int
    backend: str
    threads: int
    queue_rows: int
    max_batch_rows: int
    drain_seconds: float
    release: str
    setting: str

    @property
    def path(self) -> Path:
        return Path(self.folder)

    @property
    def log(self) -> Path:
        return self.path / "supervisor.log"

    def command(self, port: int) -> list[str]:
        flags = {
            "--endpoint": f"{self.keep}/endpoints/{self.name}",
            "--work": self.work,
            "--host": self.host,
            "--port": port,
            "--workers": self.workers,
            "--backend": self.backend,
            "--threads": self.threads,
            "--queue-rows": self.queue_rows,
            "--max-batch-rows": self.max_batch_rows,
            "--drain-seconds": self.drain_seconds,
            "--cache": self.path / "cache",
        }
        return [sys.executable, "-P", "-m", "serving", *(str(part) for flag in flags.items() for part in flag)]


def ensure(spec: Spec, *, ready_within: float = READY_WITHIN) -> ProcessRecord:
    """A ready supervisor with that spec: the one that runs, or a new one in the place of an older or dead one.

    Raises:
        MachineError: the port is taken by somebody else.
        ProvisionError: it ended, or was not ready in time; the message holds the end of its log.
    """
    with _alone(spec.path):
        record = read_record(spec.path)
        if record is None or not record.alive or record.spec != asdict(spec):
            _clear(spec.path, record)
            kept = record.port if record is not None and record.host == spec.host else 0
            record = _start(spec, spec.port or _still_free(spec.host, kept))
        try:
            _await_ready(spec, record, ready_within)
        except ProvisionError:
            processes.stop(record.pid, record.born, grace=_STOP_MARGIN)
            raise
        return record


def remove(folder: Path) -> None:
    """Stop the supervisor and remove its files; the folder may be gone already.

    Raises:
        ProvisionError: something still listens on its port.
    """
    if not folder.is_dir():
        return
    with _alone(folder):
        record = read_record(folder)
        _clear(folder, record)
        if record is not None and not processes.wait_until(lambda: processes.port_free(record.host, record.port), 5):
            raise ProvisionError(
                f"port {record.port} is still taken{_by(record.port)} after its endpoint was stopped",
                hint="end it and run `down` again",
            )
        shutil.rmtree(folder)
    for parent in (folder.parent, folder.parent.parent):
        with contextlib.suppress(OSError):
            parent.rmdir()  # endpoints/, local/<stack>/ once the last endpoint is gone


def running(folder: Path) -> ProcessRecord | None:
    """The supervisor of an endpoint if it runs."""
    record = read_record(folder)
    return record if record is not None and record.alive else None


def taken(host: str, port: int, folder: Path, setting: str) -> MachineError | None:
    """What is wrong with listening there, or None: free, or held by this endpoint's own processes."""
    if port == 0 or processes.port_free(host, port):
        return None
    record = read_record(folder)
    own = {pid for pid, _ in processes.by_argument(str(folder / "cache"))}
    if record is not None and processes.born(record.pid) in (None, record.born):
        own |= {record.pid, *(pid for pid, _ in processes.session(record.pid))}
    if any(processes.listens(pid, port) for pid in own):
        return None
    holder = processes.holder(port)
    return MachineError(
        f"port {port} of {host} is taken{_by(port)}",
        hint=f"set {setting} to a free port, or to 0 to have one chosen; or end what holds it",
        details={"port": port, "host": host, "pid": holder[0] if holder else None},
    )


def _by(port: int) -> str:
    holder = processes.holder(port)
    return f" by {holder[1]} (pid {holder[0]})" if holder else ""


def _clear(folder: Path, record: ProcessRecord | None) -> None:
    """End whatever serves this endpoint: the recorded process, what is left of its session, and any that was never recorded."""
    if record is not None:
        grace = float(record.spec.get("drain_seconds", 0)) + _STOP_MARGIN
        processes.stop(record.pid, record.born, grace=grace)
    for pid, birth in processes.by_argument(str(folder / "cache")):
        processes.stop(pid, birth, grace=_STOP_MARGIN)


def _still_free(host: str, port: int) -> int:
    return port if port and processes.port_free(host, port) else processes.free_port(host)


def _start(spec: Spec, port: int) -> ProcessRecord:
    processes.wait_until(lambda: processes.port_free(spec.host, port), 2)
    error = taken(spec.host, port, spec.path, spec.setting)
    if error is not None:
        raise error
    (spec.path / "cache").mkdir(exist_ok=True)
    if spec.log.exists():
        spec.log.replace(spec.path / "supervisor.log.1")
    with spec.log.open("wb") as log:
        process = subprocess.Popen(
            spec.command(port),
            cwd=spec.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_environment(),
        )
    _children.append(process)
    birth = processes.born(process.pid) or "ended"
    record = ProcessRecord(pid=process.pid, born=birth, host=spec.host, port=port, spec=asdict(spec))
    write_record(spec.path, record)
    return record


def _environment() -> dict[str, str]:
    """This environment without what the engine told its plugins, state's passphrase included."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")}


def _await_ready(spec: Spec, record: ProcessRecord, within: float) -> None:
    deadline = time.monotonic() + within
    while True:
        answers = {route: _ask(record, route) for route in ("/healthz", "/readyz")}
        if all(answer == 200 for answer in answers.values()):
            return
        if not record.alive:
            raise ProvisionError(
                f"the serving process of endpoint {spec.name!r} ended at its start:\n{_tail(spec.log)}",
                hint=f"its log is {spec.log}",
            )
        if time.monotonic() > deadline:
            said = ", ".join(f"{route} {answer or 'does not answer'}" for route, answer in answers.items())
            raise ProvisionError(
                f"endpoint {spec.name!r} was not ready within {within:.0f} s ({said}):\n{_tail(spec.log)}",
                hint=f"its log is {spec.log}",
            )
        time.sleep(0.05)


def _ask(record: ProcessRecord, route: str) -> int | None:
    connection = http.client.HTTPConnection(record.host, record.port, timeout=5)
    try:
        connection.request("GET", route)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _tail(log: Path, lines: int = 12) -> str:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "  (no log)"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (its log is empty)"


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One at a time per endpoint, also beside a provider that outlived its killed engine. The kernel lets go with the process."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise MachineError(
            f"{folder} cannot be made: {error.strerror}", hint="mend the rights of the folder above"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        _children[:] = [child for child in _children if child.poll() is None]
        os.close(descriptor)


def plain(spec: Spec) -> dict[str, Any]:
    return asdict(spec)


def from_plain(values: dict[str, Any]) -> Spec:
    """A spec from what came through the engine, to which every number is a float."""
    whole = {"port", "workers", "threads", "queue_rows", "max_batch_rows"}
    known: dict[str, Any] = {name: values[name] for name in Spec.__dataclass_fields__}
    known |= {name: int(known[name]) for name in whole}
    return Spec(**{**known, "drain_seconds": float(known["drain_seconds"])})
