"""CSV files as recipes' own data come."""

from __future__ import annotations

import csv
from pathlib import Path


def rows_of(path: Path) -> list[list[str]]:
    """The rows behind the line on top, as text."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))[1:]
