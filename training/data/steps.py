"""The steps as they are called: by name, with the work folder's URL and one item. They read from it and leave in it, nothing else."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from training.contract import Array
from training.data import fingerprint, sources, splitting, survey, writing
from training.data.chunks import Chunk, Piece, Reading
from training.data.folder import Folder, folder
from training.data.measures import Learned
from training.data.problems import Problem
from training.data.schema import Schema

TYPED_BYTES = 64 * 1024 * 1024
"""Bytes that rows may take when they are typed, at four bytes for each value."""
RANGE_ROWS = 1_000_000
"""About how many rows are compared at once."""


class Range(msgspec.Struct, frozen=True):
    """Buckets of hashes that are compared together."""

    number: int
    first: int
    last: int
    pieces: int


def ranges(rows: int, pieces: int) -> list[Range]:
    """The buckets in ranges of a million rows."""
    count = min(max(-(-rows // RANGE_ROWS), 1), fingerprint.BUCKETS)
    edges = [fingerprint.BUCKETS * number // count for number in range(count + 1)]
    return [Range(number, edges[number], edges[number + 1], pieces) for number in range(count)]


def run(name: str, url: str, item: bytes) -> None:
    """Do one step for one item."""
    _STEPS[name](folder(url), item)


def _survey(work: Folder, item: bytes) -> None:
    piece = msgspec.msgpack.decode(item, type=Piece)
    work.write(f"survey/{piece.number}", survey.survey(_chunks(work, piece)))


def _fingerprint(work: Folder, item: bytes) -> None:
    piece = msgspec.msgpack.decode(item, type=Piece)
    schema = work.read("schema", Schema)
    found = fingerprint.fingerprint(_narrow(_chunks(work, piece), schema), schema)
    work.write_array(f"records/{piece.number}", found.records)
    _save(work, f"seen/{piece.number}", found.seen)
    if found.sample.numbers is not None:
        _save(work, f"sample/{piece.number}", found.sample.arrays())
    work.write(f"tally/{piece.number}", found.tally)


def _compare(work: Folder, item: bytes) -> None:
    asked = msgspec.msgpack.decode(item, type=Range)
    offsets = work.read_array("offsets", "<i8").reshape(asked.pieces, fingerprint.BUCKETS + 1)
    pieces = []
    for number in range(asked.pieces):
        start, end = int(offsets[number, asked.first]), int(offsets[number, asked.last])
        pieces.append(work.read_array(f"records/{number}", fingerprint.RECORD, start, end - start))
    found, moved, kept = splitting.compare(pieces, work.read("schema", Schema))
    work.write_array(f"moved/{asked.number}", moved)
    work.write_array(f"kept/{asked.number}", kept)
    work.write_array(f"moved-offsets/{asked.number}", np.asarray(found.offsets, "<i8"))
    work.write(f"compared/{asked.number}", found)


def _write(work: Folder, item: bytes) -> None:
    piece = msgspec.msgpack.decode(item, type=Piece)
    learned, schema = work.read("learned", Learned), work.read("schema", Schema)
    split = _splits(work, piece, learned)
    with tempfile.TemporaryDirectory(dir=work.store.folder, prefix=".writing-") as scratch:
        rows = _narrow(_chunks(work, piece), schema)
        done = writing.write(rows, split, schema, learned, Path(scratch), piece.number)
        for file in done.files:
            work.keep_file(Path(scratch) / file.path, f"out/{file.path}")
    work.write(f"done/{piece.number}", done)


def _splits(work: Folder, piece: Piece, learned: Learned) -> Array:
    rows = work.read(f"tally/{piece.number}", fingerprint.Tally).rows
    records = work.read_array(f"records/{piece.number}", fingerprint.RECORD)
    strata = np.full(rows, splitting.DROPPED, np.int32)
    highs = np.zeros(rows, np.uint64)
    strata[records["row"]], highs[records["row"]] = records["stratum"], records["high"]
    for number in range(work.read("ranges", int)):
        offsets = work.read_array(f"moved-offsets/{number}", "<i8", piece.number, 2)
        moved = work.read_array(f"moved/{number}", splitting.MOVED, int(offsets[0]), int(offsets[1] - offsets[0]))
        strata[moved["row"]] = moved["stratum"]
    return splitting.splits_of(strata, highs, learned.cuts)


def _chunks(work: Folder, piece: Piece) -> Iterator[Chunk | Problem]:
    return sources.read(piece, work.read("reading", Reading))


def _narrow(chunks: Iterator[Chunk | Problem], schema: Schema) -> Iterator[Chunk | Problem]:
    """The chunks in parts that still fit into memory when texts are padded and images decoded."""
    width = sum(max(int(np.prod(plan.shape)), 8) * 4 for plan in schema.columns)
    limit = max(TYPED_BYTES // width, 1)
    for chunk in chunks:
        if isinstance(chunk, Problem) or chunk.rows <= limit:
            yield chunk
            continue
        for at in range(0, chunk.rows, limit):
            columns = {name: column[at : at + limit] for name, column in chunk.columns.items()}
            yield replace(chunk, first=chunk.first + at, rows=min(limit, chunk.rows - at), columns=columns)


def _save(work: Folder, name: str, arrays: Mapping[str, Array]) -> None:
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **{f"a{number}": values for number, values in enumerate(arrays.values())})
    work.write(f"{name}-names", list(arrays))
    work.store.put(name, out.getvalue())


def load(work: Folder, name: str) -> dict[str, Array]:
    """Named arrays that a step has left."""
    names = work.read(f"{name}-names", list[str])
    with np.load(io.BytesIO(work.store.get(name).data)) as arrays:
        return {each: arrays[f"a{number}"] for number, each in enumerate(names)}


_STEPS: Mapping[str, Callable[[Folder, bytes], None]] = {
    "survey": _survey,
    "fingerprint": _fingerprint,
    "compare": _compare,
    "write": _write,
}
