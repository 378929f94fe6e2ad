"""What was measured, and whether the promises hold: plain records and the arithmetic between them."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One server asked in one way over so many connections, once or (see `merge`) in the middle of several times.

    Args:
        requests: answered as they should be; `failed` are all others.
        cpu_ms: CPU time of all processes of the server per request [ms]; `client_cpu_ms` likewise of the load generator.
        memory_mib: of all processes of the server after the load, pages that they share counted once [MiB].
    """

    server: str
    way: str
    connections: int
    requests: float
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    client_cpu_ms: float = 0.0
    memory_mib: float = 0.0
    failed: float = 0
    repeats: int = 1
    spread: float = 0.0
    """Greatest less least rate of the repeats, as a share of the middle one."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def key(self) -> tuple[str, str, int]:
        return self.server, self.way, self.connections

    def plain(self) -> dict[str, Any]:
        return {**asdict(self), "rate": self.rate}


def merge(cells: Sequence[Cell]) -> Cell:
    """Repeats of one cell as one: the median of each figure by itself; failures are added up."""
    rates = [cell.rate for cell in cells]
    middle = statistics.median(rates)
    return replace(
        cells[0],
        requests=middle,
        seconds=1.0,
        p50_ms=statistics.median(cell.p50_ms for cell in cells),
        p99_ms=statistics.median(cell.p99_ms for cell in cells),
        cpu_ms=statistics.median(cell.cpu_ms for cell in cells),
        client_cpu_ms=statistics.median(cell.client_cpu_ms for cell in cells),
        memory_mib=max(cell.memory_mib for cell in cells),
        failed=sum(cell.failed for cell in cells),
        repeats=len(cells),
        spread=(max(rates) - min(rates)) / middle if middle else math.nan,
    )


def merged(cells: Iterable[Cell]) -> list[Cell]:
    """Every cell once, in the order of its first repeat."""
    groups: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.key, []).append(cell)
    return [merge(group) for group in groups.values()]


@dataclass(frozen=True)
class Claim:
    """One promise: a figure and its limit.

    Args:
        value: None where it could not be measured; `note` says why.
        at_most: whether the limit is an upper one.
    """

    section: str
    what: str
    value: float | None
    limit: float
    at_most: bool = True
    unit: str = ""
    note: str = ""

    @property
    def holds(self) -> bool | None:
        if self.value is None or math.isnan(self.value):
            return None
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    @property
    def verdict(self) -> str:
        return {True: "holds", False: "does not hold", None: "not measured"}[self.holds]

    def plain(self) -> dict[str, Any]:
        return {**asdict(self), "holds": self.holds}


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of all lie (nearest rank); NaN of nothing.

    Examples:
        >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([1.0, 2.0, 3.0, 4.0], 0.99)
        (2.0, 4.0)
    """
    if not ordered:
        return math.nan
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def ratio(above: float | None, below: float | None) -> float | None:
    """None where one of them was not measured."""
    if above is None or below is None or not below:
        return None
    return above / below


_PATH = re.compile(r"(?:/[\w.+~-]+){2,}")


def reason(error: Exception | str) -> str:
    """Why something was not measured, in one line that names no folder of this machine.

    Examples:
        >>> reason("Traceback\\n  File /a/b/c.py\\nOSError: no /home/me/x.txt")
        'OSError: no x.txt'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[-1] if lines else type(error).__name__
    return _PATH.sub(lambda found: found[0].rpartition("/")[2], said)[:240]
