"""Answers as `text/csv`: a line a row, ended by LF as SageMaker's are, the outputs side by side, a header only on request."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

import numpy as np
import orjson

from serving.backends.base import Array
from serving.media.errors import MediaError


def pack(outputs: Mapping[str, Array], *, with_header: bool = False) -> bytes:
    """All outputs, each row of each in row-major order.

    Raises:
        MediaError: 406, as an output has no rows, or not as many as the others, or bytes that are no text.
    """
    rows = {name: _rows(name, value) for name, value in outputs.items()}
    if len({len(table) for table in rows.values()}) > 1:
        shown = ", ".join(f'"{name}" {len(table)}' for name, table in rows.items())
        raise MediaError(
            f"the outputs differ in their numbers of rows, so that text/csv has no lines: {shown}", status=406
        )
    head = _lines([_names(rows)]) if with_header else b""
    if len(rows) == 1:
        table = next(iter(rows.values()))
        if table.dtype.kind in "fiu" and table.size and np.isfinite(table).all():
            return head + _plain(table)
    cells = [
        [_cell(name, item) for name, table in rows.items() for item in table[index]] for index in range(_count(rows))
    ]
    return head + _lines(cells)


def _count(rows: Mapping[str, Array]) -> int:
    return len(next(iter(rows.values()), ()))


def _rows(name: str, value: Array) -> Array:
    if not value.ndim:
        raise MediaError(f'output "{name}" is a single value, text/csv has rows: ask for JSON', status=406)
    return value.reshape(len(value), -1) if value.size else value.reshape(len(value), 0)


def _names(rows: Mapping[str, Array]) -> list[str]:
    return [
        name if table.shape[1] == 1 else f"{name}.{index}"
        for name, table in rows.items()
        for index in range(table.shape[1])
    ]


def _plain(table: Array) -> bytes:
    """Finite numbers, by what writes them as JSON."""
    text = orjson.dumps(np.ascontiguousarray(_written(table)), option=orjson.OPT_SERIALIZE_NUMPY)
    return text[2:-2].replace(b"],[", b"\n") + b"\n"


def _written(table: Array) -> Array:
    return table.astype(table.dtype.newbyteorder("="), copy=False)


def _cell(name: str, item: object) -> str:
    if isinstance(item, bytes):
        try:
            return item.decode("utf-8")
        except UnicodeDecodeError:
            raise MediaError(f'output "{name}" holds bytes that are no UTF-8 text: ask for JSON', status=406) from None
    return str(item).lower() if isinstance(item, np.bool_) else str(item)


def _lines(cells: list[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(cells)
    return text.getvalue().encode("utf-8", "surrogateescape")
