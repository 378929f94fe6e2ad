"""Whether a model will fit into the memory that is left, told before it is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from serving.interface import Code, StatusError
from serving.supervisor.cpus import CGROUP

PER_BYTE = 1.5
"""Memory for each byte of a model's files: what is computed with, and what the file's bytes take while they are turned into it."""
PER_WORKER = 4 * 1024 * 1024
KEPT = 64 * 1024 * 1024
"""Left for requests."""


def check_room(size: int, workers: int, free: int | None) -> None:
    """
    Args:
        size: of the version's files [bytes].
        workers: each of them loads it.
        free: bytes; None where nobody knows.

    Raises:
        StatusError: RESOURCE_EXHAUSTED, there is too little.
    """
    wanted = workers * (int(size * PER_BYTE) + PER_WORKER)
    if free is not None and wanted > free - KEPT:
        raise StatusError(
            Code.RESOURCE_EXHAUSTED,
            f"memory is short: the model takes about {wanted // 2**20:,} MiB in {workers} worker(s), {free // 2**20:,} MiB are free",
            reason="memory",
            http=507,
        )


def free_memory(
    root: Path = CGROUP, own: Path = Path("/proc/self/cgroup"), machine: Path = Path("/proc/meminfo")
) -> int | None:
    """Bytes that may still be taken: by the tightest limit of this process's control groups, and by the machine."""
    found = [*_groups(root, own), *_available(machine)]
    return min(found) if found else None


def _available(machine: Path) -> Iterator[int]:
    for line in _lines(machine):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _groups(root: Path, own: Path) -> Iterator[int]:
    for line in _lines(own):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            names = ("memory.max", "memory.current", "memory.stat", "inactive_file")
            top = root
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "total_inactive_file")
            top = root / "memory"
        else:
            continue
        folder = top / path.strip("/")
        for one in [folder, *(parent for parent in folder.parents if parent.is_relative_to(top))]:
            yield from _left(one, *names)


def _left(folder: Path, limit: str, used: str, statistics: str, cache: str) -> Iterator[int]:
    """What files take that nobody has used for long goes when it is wanted."""
    try:
        most, now = (folder / limit).read_text("ascii").strip(), int((folder / used).read_text("ascii"))
    except (OSError, ValueError):
        return
    if not most.isdigit() or int(most) >= 1 << 60:  # `max`, or the number that says so
        return
    idle = [int(line.split()[1]) for line in _lines(folder / statistics) if line.startswith(f"{cache} ")]
    yield int(most) - now + sum(idle)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
