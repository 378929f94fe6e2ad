"""Cells of a table, one by one: what each must be, and where it stands if it is not."""

from __future__ import annotations

import array
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.backends.base import Array
from serving.media.errors import MediaError
from serving.media.facts import MOST_TEXTS

_BOOLS = {"true": True, "false": False, "1": True, "0": False}
_LONGEST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands: its number among the rows and the line that it ends in, both from 1."""

    row: int
    line: int
    header: Sequence[str] | None

    def row_text(self) -> str:
        return f"row {self.row} (line {self.line})"

    def text(self, column: int) -> str:
        name = f' ("{self.header[column][:60]}")' if self.header and column < len(self.header) else ""
        return f"{self.row_text()}, column {column + 1}{name}"


class Cells:
    """Values of one type, in 8 bytes each where they are numbers."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._kind = "s" if dtype == "string" else np.dtype(dtype).kind
        self._values: Any = (
            [] if self._kind == "s" else array.array({"i": "q", "u": "Q", "b": "b"}.get(self._kind, "d"))
        )

    def add(self, cell: str, place: Place, column: int) -> None:
        """
        Raises:
            MediaError: the cell is no such value.
        """
        if self._kind == "s":
            if len(self._values) >= MOST_TEXTS:
                raise MediaError(f"the table has more than {MOST_TEXTS} texts", status=413)
            self._values.append(cell.encode("utf-8"))
            return
        value = _parsed(cell, self._dtype, self._kind)
        if value is None:
            shown = repr(cell[:_LONGEST_SHOWN]) + ("…" if len(cell) > _LONGEST_SHOWN else "")
            what = "is empty, expected" if not cell.strip() else f"is {shown}, expected"
            raise MediaError(f"{place.text(column)} {what} {self._dtype}")
        self._values.append(value)

    def array(self) -> Array:
        if self._kind == "s":
            texts = np.empty(len(self._values), dtype=object)
            texts[:] = self._values
            return texts
        with np.errstate(over="ignore"):  # too great is infinite, as in JSON
            return np.frombuffer(self._values, self._values.typecode).astype(self._dtype)


def fits(cell: str, dtype: str) -> bool:
    """Whether a cell could be a value of this type."""
    return dtype == "string" or _parsed(cell, dtype, np.dtype(dtype).kind) is not None


def _parsed(cell: str, dtype: str, kind: str) -> float | int | None:
    if kind == "b":
        return _BOOLS.get(cell.strip().lower())
    if "_" in cell or not cell.isascii():  # Python's numbers may be written in ways that nobody's tables are
        return None
    try:
        if kind == "f":
            return float(cell)
        number = int(cell)
    except ValueError:
        return None
    limits = np.iinfo(dtype)
    return number if limits.min <= number <= limits.max else None


def reader(body: bytes) -> Any:
    """Rows of cells. Decodes as it goes: the text as a whole would take several times the body's memory."""
    return csv.reader(io.TextIOWrapper(io.BytesIO(body), "utf-8", newline=""), strict=True)


@contextmanager
def explained() -> Iterator[None]:
    """What goes wrong while rows are read, as the client's mistake."""
    try:
        yield
    except csv.Error as error:
        raise MediaError(f"the table cannot be read: {error}") from None
    except UnicodeDecodeError as error:
        raise MediaError(f"the table is not UTF-8: {error.reason}") from None
