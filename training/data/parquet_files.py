"""Parquet, by row groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from training.data import places
from training.data.chunks import CHUNK_BYTES, CHUNK_ROWS, PIECE_BYTES, PIECE_ROWS, Chunk, Part, Piece, Reading, gather
from training.data.places import Found
from training.data.problems import BrokenError, Problem


def plan(files: list[tuple[Found, str]], reading: Reading) -> list[Piece]:
    """Pieces of whole row groups."""
    parts: list[tuple[Part, int]] = []
    for found, given in files:
        try:
            with places.open_file(found.url) as file:
                meta = pq.ParquetFile(file).metadata
        except (pa.ArrowException, OSError):
            parts.append((Part(found.url, found.name, 0, 1, 1, given), found.size))  # reading it says what is wrong
            continue
        first = 1
        for number in range(meta.num_row_groups):
            group = meta.row_group(number)
            weight = max(group.total_byte_size, PIECE_BYTES * group.num_rows // PIECE_ROWS)
            parts.append((Part(found.url, found.name, number, number + 1, first, given), weight))
            first += group.num_rows
    return gather("parquet", parts)


def read(part: Part, reading: Reading) -> Iterator[Chunk]:
    """The part's rows.

    Raises:
        BrokenError: the file is no whole Parquet file, or a column is of a kind that no model takes.
    """
    try:
        with places.open_file(part.url) as file:
            yield from _groups(pq.ParquetFile(file), part)
    except (pa.ArrowException, OSError) as error:
        what = "the file is empty" if "0 bytes" in str(error) else "it is damaged or no Parquet file"
        raise BrokenError(Problem(what=what, fix="copy it again, or make it again", file=part.name)) from None


def _groups(file: pq.ParquetFile, part: Part) -> Iterator[Chunk]:
    first = part.first
    group = file.metadata.row_group(part.start)
    rows = min(CHUNK_ROWS, max(CHUNK_BYTES * group.num_rows // max(group.total_byte_size, 1), 1))
    for batch in file.iter_batches(rows, row_groups=list(range(part.start, part.end)), use_threads=False):
        columns = {
            name: plain(batch.column(index), part.name, name, first) for index, name in enumerate(batch.schema.names)
        }
        yield Chunk(part.name, first, batch.num_rows, columns, part.given)
        first += batch.num_rows


def plain(column: Any, file: str, name: str, first: int) -> Any:
    """A column as text, numbers, booleans, bytes or a numpy tensor; times become seconds."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return plain(column.dictionary_decode(), file, name, first)
    if pa.types.is_struct(kind) and "bytes" in [field.name for field in kind]:
        return plain(pc.struct_field(column, "bytes"), file, name, first)  # how image sets are kept in Parquet
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pc.divide(pc.cast(pc.cast(column, pa.timestamp("us"), safe=False), pa.int64()).cast(pa.float64()), 1e6)
    if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        return pc.cast(column, pa.float64())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return tensor(column, file, name, first)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pc.cast(column, pa.string())
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return pc.cast(column, pa.binary())
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string())
    known = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_binary)
    if any(is_kind(kind) for is_kind in known):
        return column
    raise BrokenError(
        Problem(what=f"is of type {kind}, which no model takes", fix=f"--ignore {name}", file=file, column=name)
    )


def tensor(column: Any, file: str, name: str, first: int) -> Any:
    """Lists of one length as `[rows, length]`, lists of lists as `[rows, n, m]`."""
    sizes = pc.unique(pc.fill_null(pc.list_value_length(column), -1)).to_pylist()
    if len(sizes) != 1 or sizes == [-1]:
        lengths = pc.fill_null(pc.list_value_length(column), -1).to_pylist()
        row = next((at for at, length in enumerate(lengths) if length != lengths[0]), 0)
        fix = f"make all rows equally long, or --ignore {name}"
        raise BrokenError(Problem(what="its lists differ in length", fix=fix, file=file, row=first + row, column=name))
    inner = plain(column.flatten(), file, name, first)
    values = inner if isinstance(inner, np.ndarray) else inner.to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "fiub":
        raise BrokenError(
            Problem(what="is a list of texts, which no model takes", fix=f"--ignore {name}", file=file, column=name)
        )
    return values.reshape(len(column), sizes[0], *values.shape[1:])
