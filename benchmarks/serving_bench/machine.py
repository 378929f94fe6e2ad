"""The machine in words that name no machine, and which CPUs the parts of a measurement may use."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

_CLASSES = (
    ("amx_int8", "AMX"),
    ("avx512_vnni", "AVX-512 with VNNI"),
    ("avx512f", "AVX-512"),
    ("avx2", "AVX2"),
    ("asimddp", "NEON with dot product"),
    ("asimd", "NEON"),
)


@dataclass(frozen=True)
class Machine:
    """What the figures depend on."""

    architecture: str
    cpus: int
    vectors: str
    python: str
    memory_gib: float

    def __str__(self) -> str:
        return (
            f"{self.cpus} CPUs ({self.architecture}, {self.vectors}), {self.memory_gib:.0f} GiB, Python {self.python}"
        )


def describe() -> Machine:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(platform.machine(), len(cpus()), vectors(_flags()), platform.python_version(), pages / 2**30)


def vectors(flags: set[str]) -> str:
    """The class of vector instructions that the CPU's flags name."""
    return next((name for flag, name in _CLASSES if flag in flags), "no known vectors")


def cpus() -> list[int]:
    """Those that this process may use."""
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else list(range(os.cpu_count() or 1))


def pinned(command: list[str], cpu: int | None) -> list[str]:
    """The command bound to one CPU; as it is without one."""
    return command if cpu is None else ["taskset", "-c", str(cpu), *command]


def _flags() -> set[str]:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return set()
    lines = (line.partition(":") for line in info.read_text().splitlines())
    return next(
        (set(value.split()) for name, _, value in lines if name.strip().lower() in ("flags", "features")), set()
    )
