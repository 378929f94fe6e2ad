"""What a process holds."""

from __future__ import annotations

import gc
from pathlib import Path


def resident(pid: int | str = "self") -> int:
    """Memory in use [bytes]."""
    if pid == "self":
        gc.collect()
    return _field(pid, "RssAnon:")


def _field(pid: int | str, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0


def descriptors(pid: int | str = "self") -> int:
    """Open files and sockets."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid: int | str = "self") -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
