"""Reads the tables of this package: once each, when first asked."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

_HERE = Path(__file__).resolve().parent


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of `<name>.csv` by column; lines that begin with # are remarks."""
    with (_HERE / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return tuple(csv.DictReader(line for line in lines if not line.startswith("#")))
