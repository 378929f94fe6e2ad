"""All that one run found, as a record and as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.serving_bench import promises
from benchmarks.serving_bench.figures import Cell, Claim, merged
from benchmarks.serving_bench.machine import Machine
from benchmarks.serving_bench.matrix import Measured

QUIET_SHARE = 0.93
"""Of the CPUs: a measurement that had less shows the neighbours too."""


@dataclass
class Report:
    """What was measured and how.

    Args:
        details: by section, what lies behind its claims.
        settings: by server, what it was started with.
        left_out: sections that were not measured, and why.
    """

    machine: Machine
    seconds: float
    rounds: int
    generator: str
    measured: Measured = field(default_factory=Measured)
    claims: list[Claim] = field(default_factory=list)
    details: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "machine": asdict(self.machine),
            "seconds": self.seconds,
            "rounds": self.rounds,
            "generator": self.generator,
            "warning": self.warning,
            "limits": [asdict(limit) for limit in self.limits()],
            "cells": [cell.plain() for cell in merged(self.measured.cells)],
            "skipped": [[*key, why] for key, why in self.measured.skipped.items()],
            "settings": self.settings,
            "details": self.details,
            "claims": [claim.plain() for claim in self.claims],
            "left_out": self.left_out,
        }

    def limits(self) -> list[Any]:
        return [found for key in self.measured.limits if (found := self.measured.limit(*key)) is not None]

    @property
    def warning(self) -> str:
        """What makes the figures doubtful; empty where nothing does."""
        share = self.measured.share
        if share > QUIET_SHARE:
            return ""
        return f"The machine did other things meanwhile: once only {share:.0%} of its CPUs were left. Measure again when it is quiet."

    def is_kept(self) -> bool:
        """Whether nothing that was measured misses its limit."""
        return all(claim.holds is not False for claim in self.claims)

    def text(self) -> str:
        parts = [self.warning] if self.warning else []
        parts += [f"{self.machine}\n{self.rounds} rounds, {self.seconds:g} s a cell, load from {self.generator}"]
        if self.measured.limits:
            parts += [table(LIMIT_HEAD, map(limit_row, self.limits()))]
        if self.measured.cells:
            parts += [table(CELL_HEAD, cell_rows(self.measured))]
        said = [f"{server} {way}".strip() + f": {why}" for (server, way), why in self.measured.skipped.items()]
        said += [f"{section}: {why}" for section, why in self.left_out.items()]
        parts += ["\n".join(said)] if said else []
        if self.claims:
            parts += [table(CLAIM_HEAD, map(claim_row, self.claims))]
        return "\n\n".join(parts)


LIMIT_HEAD = ("in process: ONNX Runtime", "batch", "rows/s", "CPU ms/row")
CELL_HEAD = (
    "server",
    "asked by",
    "connections",
    "req/s",
    "p50 ms",
    "p99 ms",
    "CPU ms/req",
    "× in process",
    "MiB",
    "failed",
    "spread",
)
CLAIM_HEAD = ("promise", "measured", "limit", "", "")


def limit_row(limit: Any) -> list[str]:
    processes = "1 process of one thread" if limit.processes == 1 else f"{limit.processes} processes of one thread"
    return [processes, str(limit.batch), f"{limit.rate:,.0f}", f"{limit.cpu_ms:.3f}"]


def cell_rows(measured: Measured) -> list[list[str]]:
    one = measured.limit(1, 32)
    return [cell_row(cell, one.cpu_ms if one else 0.0) for cell in merged(measured.cells)]


def cell_row(cell: Cell, base: float) -> list[str]:
    times = f"{cell.cpu_ms / base:.2f}" if base else ""
    return [
        cell.server,
        cell.way,
        str(cell.connections),
        f"{cell.rate:,.0f}",
        f"{cell.p50_ms:.2f}",
        f"{cell.p99_ms:.1f}",
        f"{cell.cpu_ms:.3f}",
        times,
        f"{cell.memory_mib:.0f}",
        f"{cell.failed:.0f}",
        f"{cell.spread:.0%}",
    ]


def claim_row(claim: Claim) -> list[str]:
    sign = "≤" if claim.at_most else "≥"
    value = "" if claim.value is None else f"{number(claim.value)} {claim.unit}".strip()
    limit = "" if math.isnan(claim.limit) else f"{sign} {number(claim.limit)}"
    return [claim.what, value, limit, claim.verdict, claim.note]


def number(value: float) -> str:
    """Three digits that count, whole numbers as they are.

    Examples:
        >>> number(1.2), number(0.7234), number(11.04), number(400.0), number(0)
        ('1.2', '0.723', '11', '400', '0')
    """
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest text; numbers to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    right = [all(_is_number(line[column]) for line in lines[1:]) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if is_right else text.ljust(width)
            for text, width, is_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").replace("%", "").replace("–", "").isdigit() or not text


def promised(measured: Measured, cores: int) -> list[Claim]:
    """The claims that follow from the servers' cells; none where no server of ours was measured."""
    return promises.claims(measured, cores) if measured.limits else []
