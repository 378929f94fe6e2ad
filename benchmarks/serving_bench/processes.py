"""CPU time and memory of a server with all its processes, from /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True)
class Stat:
    """A line of /proc/PID/stat. `ended` is the CPU time of children that are gone [s]."""

    pid: int
    parent: int
    cpu: float
    ended: float


def parse_stat(line: str) -> Stat:
    """The name may hold spaces and parentheses: what follows its last one counts.

    Examples:
        >>> parse_stat("7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 10 20 20 0 1 0")
        Stat(pid=7, parent=1, cpu=3.0, ended=0.3)
    """
    head, _, tail = line.rpartition(")")
    fields = tail.split()
    user, system, child_user, child_system = (int(field) for field in fields[11:15])
    pid = int(head.split(" ", 1)[0])
    return Stat(pid, int(fields[1]), (user + system) / TICK, (child_user + child_system) / TICK)


def tree(root: int) -> list[Stat]:
    """A process and all below it; empty if it is gone."""
    stats: dict[int, Stat] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = parse_stat((folder / "stat").read_text())
                stats[stat.pid] = stat
    below: dict[int, list[int]] = {}
    for stat in stats.values():
        below.setdefault(stat.parent, []).append(stat.pid)
    found, left = [], [root] if root in stats else []
    while left:
        pid = left.pop()
        found.append(stats[pid])
        left += below.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of a process and all below it, with those that ended."""
    return sum(stat.cpu + stat.ended for stat in tree(root))


def children(root: int) -> list[int]:
    return [stat.pid for stat in tree(root) if stat.pid != root]


def memory_mib(pid: int, field: str = "VmRSS") -> float:
    """`VmRSS` is what is resident now, `VmHWM` the most there was; 0 for a process that is gone."""
    with contextlib.suppress(OSError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    return 0.0


def proportional_mib(pids: Iterable[int]) -> float:
    """Memory with shared pages divided among those who share them."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) / 1024
    return total


def forget_peak(pid: int) -> None:
    """Let VmHWM begin anew from what is resident now."""
    (PROC / str(pid) / "clear_refs").write_text("5")


def end(process: subprocess.Popen[bytes], seconds: float = 15.0) -> None:
    """End a server that was started in a session of its own: first kindly, then it and all that it left."""
    left = children(process.pid)
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    for pid in left:  # some peers' workers leave the session
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if _was_child_of_ours(pid):
                os.kill(pid, signal.SIGKILL)


def _was_child_of_ours(pid: int) -> bool:
    """Whether an orphan that we saw below the server still runs: its number is not given anew within seconds."""
    ends = time.monotonic() + 0.5
    while (PROC / str(pid)).exists() and time.monotonic() < ends:
        time.sleep(0.01)
    return (PROC / str(pid)).exists()
