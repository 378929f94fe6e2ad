"""CSV, in stretches that end where rows end: every cell is read as text, so that what is of the wrong type can be counted."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as arrow_csv  # type: ignore[import-untyped]

from training.data import places
from training.data.chunks import CHUNK_BYTES, PIECE_BYTES, Chunk, Part, Piece, Reading, gather
from training.data.places import Found
from training.data.problems import BrokenError, Problem

HEADER_BYTES = 1024 * 1024


def plan(files: list[tuple[Found, str]], reading: Reading) -> list[Piece]:
    """Pieces of the files. A file larger than one is looked through once for places where rows end; a packed one is not cut."""
    parts: list[tuple[Part, int]] = []
    for found, given in files:
        if found.name.endswith(".gz") or found.size <= PIECE_BYTES:
            parts.append((Part(found.url, found.name, 0, found.size, 1, given), found.size))
            continue
        with places.open_file(found.url) as file:
            cuts = list(_row_ends(file))
        starts = [(0, 0), *cuts]
        ends = [*(at for at, _ in cuts), found.size]
        for (start, row), end in zip(starts, ends, strict=True):
            first = max(row + (0 if reading.has_header else 1), 1)
            if end > start:
                parts.append((Part(found.url, found.name, start, end, first, given), end - start))
    return gather("csv", parts)


def _row_ends(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Offsets behind the end of a row, one about every piece, and how many lines lie before each. A quoted line end ends no row."""
    at = lines = 0
    inside = False
    due = PIECE_BYTES
    for block in places.blocks(file):
        values = np.frombuffer(block, np.uint8)
        quoted = (np.cumsum(values == ord('"'), dtype=np.int64) + inside) & 1
        ends = np.flatnonzero((values == ord("\n")) & (quoted == 0))
        while (index := int(np.searchsorted(ends, due - at - 1))) < len(ends):
            cut = at + int(ends[index]) + 1
            yield cut, lines + index + 1
            due = cut + PIECE_BYTES
        inside = bool(quoted[-1])
        lines += len(ends)
        at += len(block)


def read(part: Part, reading: Reading) -> Iterator[Chunk]:
    """The part's rows.

    Raises:
        BrokenError: the file is empty, not UTF-8 or no CSV, or behind the last row: some rows have too many or too few cells.
    """
    if part.end == 0:
        raise BrokenError(Problem(what="the file is empty", fix="make it again, or leave it out", file=part.name))
    names = _names(part, reading)
    bad: list[tuple[int, int]] = []

    def count(row: arrow_csv.InvalidRow) -> str:
        bad.append((row.number or 0, row.actual_columns))
        return "skip"

    try:
        with places.open_file(part.url) as raw, _unpacked(raw, part) as file:
            reader = arrow_csv.open_csv(
                pa.PythonFile(file, "r"),
                arrow_csv.ReadOptions(
                    use_threads=False,
                    block_size=CHUNK_BYTES,
                    column_names=names,
                    skip_rows=1 if reading.has_header and part.start == 0 else 0,
                ),
                arrow_csv.ParseOptions(delimiter=reading.delimiter, newlines_in_values=True, invalid_row_handler=count),
                arrow_csv.ConvertOptions(column_types={name: pa.string() for name in names}, strings_can_be_null=False),
            )
            yield from _chunks(reader, part, names)
    except (pa.ArrowInvalid, gzip.BadGzipFile, EOFError) as error:
        raise BrokenError(_problem(error, part)) from None
    if bad:
        number, cells = bad[0]
        what = f"{len(bad)} rows have not {len(names)} cells; the first of them has {cells}"
        row = number - 1 + part.first - (1 if reading.has_header and part.start == 0 else 0) if number else None
        raise BrokenError(
            Problem(what=what, fix="quote cells that hold the delimiter, or give --delimiter", file=part.name, row=row)
        )


def _chunks(reader: arrow_csv.CSVStreamingReader, part: Part, names: list[str]) -> Iterator[Chunk]:
    first = part.first
    for batch in reader:
        if batch.num_rows:
            columns = {name: batch.column(index) for index, name in enumerate(names)}
            yield Chunk(part.name, first, batch.num_rows, columns, part.given)
            first += batch.num_rows


def _unpacked(raw: BinaryIO, part: Part) -> BinaryIO:
    if part.name.endswith(".gz"):
        return gzip.open(raw)  # type: ignore[return-value]
    return io.BufferedReader(places.Slice(raw, part.start, part.end), 1024 * 1024)


def _names(part: Part, reading: Reading) -> list[str]:
    """Column names from the file's first row; numbers from 0 where it has no header."""
    with places.open_file(part.url) as raw, _unpacked(raw, Part(part.url, part.name, 0, HEADER_BYTES)) as file:
        try:
            text = file.read(HEADER_BYTES).decode("utf-8-sig", "replace")
        except (gzip.BadGzipFile, EOFError, OSError) as error:
            raise BrokenError(_problem(error, part)) from None
    cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=reading.delimiter), None)
    if not cells:
        raise BrokenError(Problem(what="the file is empty", fix="make it again, or leave it out", file=part.name))
    names = [cell.strip() for cell in cells] if reading.has_header else [str(number) for number in range(len(cells))]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        fix = "rename one of them, or give --no-header if the file has no header"
        raise BrokenError(Problem(what="the header names it twice", fix=fix, file=part.name, column=twice[0]))
    return [name or f"column {number}" for number, name in enumerate(names, 1)]


def _problem(error: Exception, part: Part) -> Problem:
    text = str(error).split("\n")[0]
    if "UTF8" in text or "utf8" in text.lower():
        return Problem(
            what="it is not in UTF-8", fix=f"convert it: iconv -f latin1 -t utf-8 {part.name}", file=part.name
        )
    return Problem(what=f"it is damaged or no CSV: {text[:200]}", fix="copy it again, or make it again", file=part.name)
