"""The first look at every row: of which type each column is, how much is missing, what cannot be read. Counts alone, so pieces add up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import pyarrow.compute as pc  # type: ignore[import-untyped]

from training.data import cells
from training.data.chunks import Chunk
from training.data.image_files import FILE
from training.data.problems import Problem

VALUES = 1000
"""Most different values of a column that are counted one by one: beyond, it is no category and no label."""
EXAMPLES = 3
PROBLEMS = 200
LONGEST_VALUE = 200
"""Characters of a value that may still be a category."""


class Example(msgspec.Struct, frozen=True):
    """A cell that stands out."""

    file: str
    row: int
    value: str


class Column(msgspec.Struct):
    """What was seen of a column. `values` is None where there are too many."""

    families: list[str] = []
    forms: dict[str, int] = {}
    """tensor: shapes with dtype; image: shapes."""
    missing: int = 0
    numbers: int = 0
    others: int = 0
    """Neither missing nor a number."""
    whole: bool = True
    """Whether all numbers are whole."""
    values: dict[str, int] | None = {}
    longest: int = 0
    """UTF-8 bytes."""
    unreadable: int = 0
    examples: list[Example] = []
    damaged: list[Example] = []


class Survey(msgspec.Struct):
    """What was seen of some rows."""

    rows: int = 0
    columns: dict[str, Column] = {}
    given: dict[str, int] = {}
    """Rows by the split that the source gives; "" where it gives none."""
    present: dict[str, int] = {}
    """Rows in which a column was there at all."""
    problems: list[Problem] = []


def survey(chunks: Iterable[Chunk | Problem]) -> Survey:
    """Look at the rows of a piece."""
    seen = Survey()
    for chunk in chunks:
        if isinstance(chunk, Problem):
            seen.problems.append(chunk)
            continue
        seen.rows += chunk.rows
        seen.given[chunk.given] = seen.given.get(chunk.given, 0) + chunk.rows
        for name, values in chunk.columns.items():
            if name == FILE:
                continue
            seen.present[name] = seen.present.get(name, 0) + chunk.rows
            _look(seen.columns.setdefault(name, Column()), values, name, chunk)
    return seen


def _look(column: Column, values: Any, name: str, chunk: Chunk) -> None:
    if isinstance(values, np.ndarray):
        _add(column, "tensor")
        form = f"{values.dtype.name} {'x'.join(map(str, values.shape[1:]))}"
        column.forms[form] = column.forms.get(form, 0) + chunk.rows
        if values.dtype.kind == "f":
            column.missing += int((~np.isfinite(values.reshape(len(values), -1))).any(axis=1).sum())
    elif cells.is_binary(values) and not cells.is_utf8(values):
        _add(column, "image")
        _images(column, values, chunk)
    else:
        _add(column, "text" if cells.is_binary(values) or cells.is_text(values) else "number")
        _scalars(column, values, chunk)


def _add(column: Column, family: str) -> None:
    if family not in column.families:
        column.families.append(family)


def _images(column: Column, values: Any, chunk: Chunk) -> None:
    for at, data in enumerate(values.to_pylist()):
        shape = cells.image_shape(data)
        if shape is None:
            column.unreadable += 1
            if len(column.damaged) < PROBLEMS:
                file, row = row_of(chunk, at)
                column.damaged.append(Example(file, row, "" if data else "empty"))
        else:
            form = "x".join(map(str, shape))
            column.forms[form] = column.forms.get(form, 0) + 1


def row_of(chunk: Chunk, at: int) -> tuple[str, int]:
    """The file and the row in it of a chunk's row."""
    if FILE in chunk.columns:
        return chunk.columns[FILE][at].as_py(), 1
    return chunk.file, chunk.first + at


def _scalars(column: Column, values: Any, chunk: Chunk) -> None:
    found = cells.numbers(values if not cells.is_binary(values) else pc.cast(values, "string"))
    column.missing += int(found.missing.sum())
    usable = ~np.isnan(found.values)
    column.numbers += int(usable.sum())
    column.whole = column.whole and bool((np.mod(found.values[usable], 1) == 0).all())
    if found.wrong.any():
        column.others += int(found.wrong.sum())
        for at in np.flatnonzero(found.wrong)[: EXAMPLES - len(column.examples)]:
            file, row = row_of(chunk, int(at))
            column.examples.append(Example(file, row, str(values[int(at)].as_py())[:80]))
    if cells.is_text(values) or cells.is_binary(values):
        column.longest = max(column.longest, pc.max(pc.binary_length(values)).as_py() or 0)
    if column.values is not None:
        column.values = _count(column.values, values)


def _count(known: dict[str, int], values: Any) -> dict[str, int] | None:
    counted = pc.value_counts(values)
    if len(counted) > 2 * VALUES:
        return None
    texts = cells.texts(counted.field(0)).to_pylist()
    total = dict(known)
    for text, count in zip(texts, counted.field(1).to_pylist(), strict=True):
        if text is not None:
            total[text] = total.get(text, 0) + count
            if len(text) > LONGEST_VALUE:
                return None
    return total if len(total) <= VALUES else None


def merged(surveys: Iterable[Survey]) -> Survey:
    """All of them together; examples are those of the first pieces."""
    whole = Survey()
    for each in surveys:
        whole.rows += each.rows
        whole.problems = (whole.problems + each.problems)[:PROBLEMS]
        for name, count in each.given.items():
            whole.given[name] = whole.given.get(name, 0) + count
        for name, count in each.present.items():
            whole.present[name] = whole.present.get(name, 0) + count
        for name, column in each.columns.items():
            _merge(whole.columns.setdefault(name, Column()), column)
    return whole


def _merge(into: Column, other: Column) -> None:
    for family in other.families:
        _add(into, family)
    for form, count in other.forms.items():
        into.forms[form] = into.forms.get(form, 0) + count
    into.missing += other.missing
    into.numbers += other.numbers
    into.others += other.others
    into.unreadable += other.unreadable
    into.whole = into.whole and other.whole
    into.longest = max(into.longest, other.longest)
    into.examples = (into.examples + other.examples)[:EXAMPLES]
    into.damaged = (into.damaged + other.damaged)[:PROBLEMS]
    if into.values is None or other.values is None:
        into.values = None
        return
    for value, count in other.values.items():
        into.values[value] = into.values.get(value, 0) + count
    if len(into.values) > VALUES:
        into.values = None
