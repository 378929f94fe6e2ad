"""`text/csv` as tensors: a row of the table is a row of the model (RFC 4180, RFC 7111; answers as SageMaker's own models give them).

One input takes all columns; several take a column each, by the names in the header. Plain numbers go straight from the text into an
array, anything else is read cell by cell, which also tells what is wrong and where.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from serving.backends.base import Array
from serving.media import csv_cells, csv_fast
from serving.media.csv_cells import Cells, Place
from serving.media.errors import MediaError
from serving.media.facts import NUMBERS, VersionFacts, all_said, check_shape
from serving.signature import Tensor

CSV = b"text/csv"
_CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}


@dataclass(frozen=True)
class _Table:
    """What stands before the first row, and where that begins."""

    header: list[str] | None
    start: int


def decode(body: bytes, facts: VersionFacts, parameters: Mapping[str, str]) -> dict[str, Array]:
    """The rows of a table.

    Args:
        parameters: of the media type: `charset`, and `header` as `present` or `absent`; without it the first line is a header if
            it has a name that the model knows, or nothing that the model could take.

    Raises:
        MediaError: what is wrong, with row and column.
    """
    _check_parameters(parameters)
    body = body.removeprefix(b"\xef\xbb\xbf")
    tensors = facts.signature.inputs
    if not takes(facts):
        raise MediaError(
            f"text/csv cannot carry this model's input: it takes {all_said(facts)}, of several each must be one column",
            status=415,
        )
    table = _table(body, facts, parameters.get("header"))
    if len(tensors) > 1:
        return _named(body, table, facts)
    return {tensors[0].name: _only(body, table, facts)}


def _check_parameters(parameters: Mapping[str, str]) -> None:
    charset = parameters.get("charset", "utf-8").lower()
    if charset not in _CHARSETS:
        raise MediaError(f"text/csv with charset={charset[:40]!r} is not read: send UTF-8", status=415)
    header = parameters.get("header")
    if header not in (None, "present", "absent"):
        raise MediaError(f"the parameter header of text/csv is {header[:40]!r}, expected present or absent", status=415)


def takes(facts: VersionFacts) -> bool:
    """Whether a table can be a version's input: of one its rows, of several a column each."""
    return all(_takes(tensor, is_only=len(facts.signature.inputs) == 1) for tensor in facts.signature.inputs)


def _takes(tensor: Tensor, *, is_only: bool) -> bool:
    if tensor.dtype not in NUMBERS and tensor.dtype not in ("string", "bool"):
        return False
    dims = (tensor.shape or (None, None))[1:]
    if is_only:
        return tensor.shape != () and 0 not in dims and (None not in dims or len(dims) == 1)
    return tensor.shape is not None and len(tensor.shape) in (1, 2) and dims in ((), (1,), (None,))


def _width(tensor: Tensor) -> int | None:
    """Cells of a row; None where the model leaves it open."""
    dims = (tensor.shape or (None, None))[1:]
    return None if None in dims else math.prod(size for size in dims if size)


# The header


def _table(body: bytes, facts: VersionFacts, said: str | None) -> _Table:
    tensors = facts.signature.inputs
    if said == "absent":
        if len(tensors) > 1:
            raise MediaError(f"the columns need a header that names them: the model takes {all_said(facts)}")
        return _Table(None, 0)
    if said is None and len(tensors) == 1 and _begins_with_numbers(body, facts):
        return _Table(None, 0)
    reader = csv_cells.reader(body)
    with csv_cells.explained():
        first = next((row for row in reader if any(cell.strip() for cell in row)), None)
    if first is None:
        raise MediaError("the table has no rows")
    names = [cell.strip() for cell in first]
    if said != "present" and len(tensors) == 1 and not _is_header(names, tensors[0], facts):
        return _Table(None, 0)
    return _Table(names, _end_of_line(body, reader.line_num))


def _begins_with_numbers(body: bytes, facts: VersionFacts) -> bool:
    """The usual case, seen without taking the line apart."""
    if not body[:1].isdigit() or any(
        name[:1].isdigit() for name in (facts.signature.inputs[0].name, *facts.task.input_names)
    ):
        return False
    return not body[: body.find(b"\n") + 1 or len(body)].translate(None, csv_fast.PLAIN)


def _is_header(names: list[str], tensor: Tensor, facts: VersionFacts) -> bool:
    known = {tensor.name, *facts.task.input_names}
    if not known.isdisjoint(names):
        return True
    return tensor.dtype != "string" and not any(csv_cells.fits(name, tensor.dtype) for name in names)


def _end_of_line(body: bytes, number: int) -> int:
    """Where line `number`, counted from 1, ends; a line ends with LF, CR or both, as csv counts them."""
    at = 0
    for line in io.TextIOWrapper(io.BytesIO(body), "latin-1", newline=""):
        at += len(line)
        number -= 1
        if not number:
            break
    return at


# One input


def _only(body: bytes, table: _Table, facts: VersionFacts) -> Array:
    tensor = facts.signature.inputs[0]
    order = _order(table.header, facts)
    width = len(table.header) if table.header else _width(tensor)
    if tensor.dtype in NUMBERS:
        guess = width or body[: body.find(b"\n") + 1 or len(body)].count(b",") + 1
        quick = csv_fast.numbers(body, table.start, guess, np.dtype(tensor.dtype))
        if quick is not None:
            return _shaped(quick if order is None else quick[:, order], tensor)
    cells = Cells(tensor.dtype)
    count = 0
    for place, row in _rows(body, table, facts):
        width = width or len(row)
        if len(row) != width:
            raise MediaError(f"{place.row_text()} has {len(row)} cells, expected {width}")
        for column in order or range(width):
            cells.add(row[column], place, column)
        count += 1
    if not count:
        raise MediaError("the table has no rows")
    return _shaped(cells.array().reshape(count, -1), tensor)


def _order(header: list[str] | None, facts: VersionFacts) -> list[int] | None:
    """The columns in the order that the model learned them, where both have names."""
    names = facts.task.input_names
    if header is None or not names or _width(facts.signature.inputs[0]) != len(names):
        return None
    missing = [name for name in names if name not in header]
    if missing:
        raise MediaError(f"the table lacks {_quoted(missing)}; its header has {_quoted(header)}")
    _check_unique(header, names)
    order = [header.index(name) for name in names]
    return None if order == list(range(len(header))) else order


def _shaped(rows: Array, tensor: Tensor) -> Array:
    """`[rows, cells]` in the shape that the model takes."""
    wanted = _width(tensor)
    if wanted is not None and rows.shape[1] != wanted:
        raise MediaError(
            f'the rows have {rows.shape[1]} cells, input "{tensor.name}" takes {tensor.shape_text()}, {wanted} cells a row'
        )
    dims = (tensor.shape or (None, None))[1:]
    shaped = rows.reshape(len(rows), *(rows.shape[1] if size is None else size for size in dims))
    check_shape(tensor, shaped.shape)
    return shaped if shaped.flags.c_contiguous else np.ascontiguousarray(shaped)


# Several inputs


def _named(body: bytes, table: _Table, facts: VersionFacts) -> dict[str, Array]:
    header = table.header or []
    tensors = facts.signature.inputs
    names = [tensor.name for tensor in tensors]
    missing = [name for name in names if name not in header]
    if missing:
        raise MediaError(f"the table lacks {_quoted(missing)}; its header has {_quoted(header)}")
    _check_unique(header, names)
    columns = [(header.index(tensor.name), Cells(tensor.dtype)) for tensor in tensors]
    count = 0
    for place, row in _rows(body, table, facts):
        if len(row) != len(header):
            raise MediaError(f"{place.row_text()} has {len(row)} cells, the header has {len(header)}")
        for column, cells in columns:
            cells.add(row[column], place, column)
        count += 1
    if not count:
        raise MediaError("the table has a header and no rows")
    pairs = zip(tensors, columns, strict=True)
    return {tensor.name: _shaped(cells.array().reshape(count, 1), tensor) for tensor, (_, cells) in pairs}


def _check_unique(header: list[str], names: list[str]) -> None:
    for name in names:
        if header.count(name) > 1:
            raise MediaError(f'the header names the column "{name}" twice')


def _quoted(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(f'"{name[:60]}"' for name in names[:10]) + more


def _rows(body: bytes, table: _Table, facts: VersionFacts) -> Iterator[tuple[Place, list[str]]]:
    """Rows that are not empty, and where they stand. Where all is text, a row of empty texts is a row: only an empty line is none."""
    is_text = all(tensor.dtype == "string" for tensor in facts.signature.inputs)
    reader = csv_cells.reader(body)
    number = 0
    is_header_due = table.header is not None
    with csv_cells.explained():
        for row in reader:
            if not row or not ((is_text and not is_header_due) or any(cell.strip() for cell in row)):
                continue
            if is_header_due:
                is_header_due = False
                continue
            number += 1
            yield Place(number, reader.line_num, table.header), row
