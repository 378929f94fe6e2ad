"""Text files of tables as recipes' own data come; what cannot be read is named with its file and row."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from skylift.errors import RecipeError
from training.contract import Array

PREPARED = "mend the file, or let `skylift data add` prepare it, which names all that is wrong with it"


def rows_of(path: Path) -> list[list[str]]:
    """The rows behind the line on top, as text.

    Raises:
        RecipeError: there is no such file, or it is no CSV in UTF-8.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.reader(file))[1:]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from None


def table_of(path: Path, columns: int, *, header: bool = False) -> Array:
    """Numbers, `[rows, columns] float64`; `.gz` is unpacked.

    Raises:
        RecipeError: there is no such file, it is damaged, a cell is no number, or rows have other than `columns` cells.
    """
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2, skiprows=int(header), encoding="utf-8")
    except (OSError, EOFError, ValueError) as error:
        raise _unreadable(path, error) from None
    if table.shape[1] != columns or not len(table):
        found = f"its rows have {table.shape[1]} numbers" if len(table) else "it has no rows"
        raise RecipeError(f"{path.name}: {found}; the recipe takes rows of {columns}", hint=PREPARED)
    return table


def column_of(path: Path, column: int) -> Array:
    """One column of numbers behind the line on top, `[rows] float32`, NaN where a cell is empty.

    Raises:
        RecipeError: see rows_of; or a row has no such cell, or no number in it.
    """
    return np.array([_number(path, at, row, column) for at, row in enumerate(rows_of(path), 1)], dtype=np.float32)


def _number(path: Path, at: int, row: list[str], column: int) -> float:
    try:
        return float(row[column]) if row[column].strip() else math.nan
    except (IndexError, ValueError):
        what = f"{row[column]!r} is no number" if column < len(row) else f"there is no cell {column + 1}"
        raise RecipeError(f"{path.name}, row {at}: {what}", hint=PREPARED) from None


def _unreadable(path: Path, error: Exception) -> RecipeError:
    if isinstance(error, FileNotFoundError):
        return RecipeError(
            f"the dataset has no file {path.name}",
            hint=f"name a folder with {path.name}, or a dataset that `skylift data add` has made",
        )
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return RecipeError(f"{path.name} is damaged or no table of that form: {reason}", hint=PREPARED)
