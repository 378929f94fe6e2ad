""".npy and .npz: arrays with a row along their first axis. Names of an .npz such as `x_train` and `y_test` give the splits."""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from training.data import places
from training.data.chunks import CHUNK_BYTES, CHUNK_ROWS, PIECE_BYTES, PIECE_ROWS, Chunk, Part, Piece, Reading, gather
from training.data.places import Found
from training.data.problems import BrokenError, Problem

_OF_A_SPLIT = re.compile(r"(\w+?)_(train|val|valid|validation|test)")


@dataclass(frozen=True)
class _Member:
    """An array inside a file: its column's name, and where its bytes begin in the member."""

    name: str
    column: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int

    @property
    def row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize


def plan(files: list[tuple[Found, str]], reading: Reading) -> list[Piece]:
    """Pieces of rows."""
    parts: list[tuple[Part, int]] = []
    for found, given in files:
        try:
            groups = _groups(found.url, found.name, given)
        except BrokenError:
            parts.append((Part(found.url, found.name, 0, 1, 1, given), 0))  # reading it says what is wrong
            continue
        for split, members in groups.items():
            width = max(sum(member.row_bytes for member in members), 1)
            step = max(min(PIECE_BYTES // width, PIECE_ROWS), 1)
            rows = members[0].shape[0]
            parts += [
                (Part(found.url, found.name, at, min(at + step, rows), at + 1, split), min(step, rows - at) * width)
                for at in range(0, rows, step)
            ]
    return gather("arrays", parts)


def read(part: Part, reading: Reading) -> Iterator[Chunk]:
    """The part's rows.

    Raises:
        BrokenError: the file is damaged, holds objects, or its arrays differ in rows.
    """
    outer = "" if _is_npz(part.name) else part.given
    members = _groups(part.url, part.name, outer)[part.given]
    width = max(sum(member.row_bytes for member in members), 1)
    step = max(min(CHUNK_BYTES // width, CHUNK_ROWS), 1)
    with contextlib.ExitStack() as stack:
        streams = []
        for member in members:
            stream = stack.enter_context(_open(part.url, member.name))
            stream.seek(member.start + part.start * member.row_bytes)
            streams.append(stream)
        for at in range(part.start, part.end, step):
            count = min(step, part.end - at)
            arrays = [_take(stream, member, count, part) for stream, member in zip(streams, members, strict=True)]
            columns = {
                name: column for m, values in zip(members, arrays, strict=True) for name, column in _columns(m, values)
            }
            yield Chunk(part.name, at + 1, count, columns, part.given)


def _columns(member: _Member, values: np.ndarray[Any, Any]) -> Iterator[tuple[str, Any]]:
    if values.ndim == 1:
        yield member.column, pa.array(values.astype(str) if values.dtype.kind == "S" else values)
    elif values.ndim == 2 and not member.name:  # a bare .npy of numbers is a table
        yield from ((str(index), pa.array(np.ascontiguousarray(values[:, index]))) for index in range(values.shape[1]))
    elif values.ndim == 2 and values.shape[1] == 1:
        yield member.column, pa.array(values[:, 0])
    else:
        yield member.column, values


def _take(stream: BinaryIO, member: _Member, rows: int, part: Part) -> np.ndarray[Any, Any]:
    try:
        raw = stream.read(rows * member.row_bytes)
    except (zipfile.BadZipFile, EOFError, OSError):
        raw = b""
    if len(raw) != rows * member.row_bytes:
        raise BrokenError(
            Problem(what="it is cut off or damaged", fix="copy it again, or make it again", file=part.name)
        )
    values = np.frombuffer(raw, member.dtype).reshape(rows, *member.shape[1:])
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _is_npz(name: str) -> bool:
    return name.lower().endswith(".npz")


@contextlib.contextmanager
def _open(url: str, member: str) -> Iterator[Any]:
    with places.open_file(url) as file:
        if not member:
            yield file
            return
        with zipfile.ZipFile(file) as archive, archive.open(member) as inner:
            yield inner


def _groups(url: str, name: str, given: str) -> dict[str, list[_Member]]:
    """The arrays of a file by the split that they belong to."""
    try:
        if not _is_npz(name):
            members = [_member(url, "", "x", name)]
        else:
            with places.open_file(url) as file, zipfile.ZipFile(file) as archive:
                names = archive.namelist()
            members = [_member(url, each, each.removesuffix(".npy"), name) for each in names]
    except (zipfile.BadZipFile, ValueError, EOFError, OSError):
        raise BrokenError(
            Problem(what="it is empty, damaged or no array file", fix="save it again with numpy", file=name)
        ) from None
    groups: dict[str, list[_Member]] = {}
    for member in members:
        split, column = _split_of(member.column)
        groups.setdefault(split or given, []).append(
            _Member(member.name, column, member.shape, member.dtype, member.start)
        )
    for group in groups.values():
        _check(group, name)
    return groups


def _split_of(column: str) -> tuple[str, str]:
    match = _OF_A_SPLIT.fullmatch(column)
    if match is None:
        return "", column
    return ("validation" if match[2].startswith("val") else match[2]), match[1]


def _check(members: list[_Member], name: str) -> None:
    rows = {member.shape[0] if member.shape else 0 for member in members}
    if len(rows) > 1:
        said = ", ".join(f"{member.column} {member.shape[0] if member.shape else 0}" for member in members)
        raise BrokenError(
            Problem(what=f"its arrays differ in rows: {said}", fix="save arrays with a row for each other", file=name)
        )


def _member(url: str, member: str, column: str, name: str) -> _Member:
    with _open(url, member) as file:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = reader(file)
        start = file.tell()
    if dtype.hasobject or dtype.kind not in "fiubSU" or (fortran and len(shape) > 1):
        what = f"holds {dtype} in an order or of a kind that cannot be read in pieces"
        fix = "save plain numbers with numpy.ascontiguousarray"
        raise BrokenError(Problem(what=what, fix=fix, file=name, column=column))
    return _Member(member, column, shape, dtype, start)
