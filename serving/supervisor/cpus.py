"""How many CPUs this process may use: what the machine has is not what a container lends."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def lent_cpus(root: Path = CGROUP, own: Path = Path("/proc/self/cgroup")) -> float:
    """CPUs by affinity and by the tightest quota of this process's control groups; a fraction where the quota is one."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([float(affinity), *_quotas(root, own)])


def threads_per_worker(asked: int, workers: int) -> int:
    """Threads of one worker: what was asked, or an equal share of the CPUs, one at least."""
    return asked or max(1, int(lent_cpus() / workers))


def _quotas(root: Path, own: Path) -> list[float]:
    try:
        lines = own.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            found += [_quota_v2(folder) for folder in _upwards(root, path)]
        elif "cpu" in controllers.split(","):
            found += [_quota_v1(folder) for folder in _upwards(root / "cpu", path)]
    return [quota for quota in found if quota is not None]


def _upwards(root: Path, path: str) -> list[Path]:
    """The group's folder and those above it. In a container the path may be the host's: then only the root is there."""
    folder = root / path.strip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((folder / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
