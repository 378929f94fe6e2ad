"""Processes by pid and birth, so that a pid that the system gave to somebody else is never taken for ours."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PROC = Path("/proc/self/stat")


def born(pid: int) -> str | None:
    """What tells this process from any other that has or had its pid; None if it does not run (a zombie does not).

    On Linux the boot and the ticks since then, which stay when the clock jumps; elsewhere the time of its start.
    """
    if _PROC.exists():
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            return None
        return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def alive(pid: int, birth: str) -> bool:
    """Whether the process that was born so still runs."""
    return born(pid) == birth


def session(pid: int) -> list[tuple[int, str]]:
    """Pid and birth of the processes in the session that `pid` leads or led, itself left out."""
    import psutil

    members = []
    for other in psutil.pids():
        with contextlib.suppress(OSError):
            if other != pid and os.getsid(other) == pid and (birth := born(other)) is not None:
                members.append((other, birth))
    return members


def stop(pid: int, birth: str, *, grace: float) -> None:
    """End a process that leads its session, and all of that session: SIGTERM, after `grace` [s] SIGKILL.

    Returns when all are gone. A pid that belongs to somebody else by now is left alone.
    """
    if born(pid) not in (None, birth):
        return
    members = {(pid, birth), *session(pid)}
    if alive(pid, birth):
        _send(pid, birth, signal.SIGTERM)
        wait_until(lambda: not alive(pid, birth), grace)
    for other, its_birth in members | set(session(pid)):
        _send(other, its_birth, signal.SIGKILL)
    wait_until(lambda: not any(alive(other, its_birth) for other, its_birth in members), 10)


def end(pid: int, birth: str) -> None:
    """Kill one process, if it is still the one that was born so."""
    _send(pid, birth, signal.SIGKILL)


def _send(pid: int, birth: str, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if alive(pid, birth):
            os.kill(pid, number)


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Ask every 20 ms until the answer is yes or `timeout` [s] is over."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def port_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def free_port(host: str) -> int:
    """A port that nobody listens on at this moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def holder(port: int) -> tuple[int, str] | None:
    """Pid and name of who listens on a port, where this user may know it."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections(kind="tcp"):
            if _listens_on(connection, port) and connection.pid:
                return connection.pid, psutil.Process(connection.pid).name()
    return None


def listens(pid: int, port: int) -> bool:
    """Whether a process of this user listens on a port; unlike `holder`, any system answers that."""
    import psutil

    with contextlib.suppress(psutil.Error):
        for connection in psutil.Process(pid).net_connections(kind="tcp"):
            if _listens_on(connection, port):
                return True
    return False


def _listens_on(connection: Any, port: int) -> bool:
    return connection.status == "LISTEN" and getattr(connection.laddr, "port", None) == port


def by_argument(text: str) -> list[tuple[int, str]]:
    """Pid and birth of this user's processes that were started with exactly that argument."""
    import psutil

    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if text in (process.info["cmdline"] or ()):
            birth = born(process.info["pid"])
            if birth is not None:
                found.append((process.info["pid"], birth))
    return found
