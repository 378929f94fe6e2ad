"""Just as much of protobuf's wire format as finds a few fields in a large file, without reading the rest.

A mapped file is passed over in a few steps: a graph of 2 GB is one field, skipped by its length.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator
from pathlib import Path

Span = tuple[int, int]
"""Where a field's bytes lie: from, to."""
Bytes = mmap.mmap | bytes


class CutError(ValueError):
    """The bytes end within a field: no such message, or not all of it is there."""


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[Bytes]:
    """A file's bytes, read when they are looked at.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if not path.stat().st_size:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            yield whole


def fields(data: Bytes, span: Span) -> Iterator[tuple[int, Span | int]]:
    """The fields of a message in order: number, and where its bytes lie or, for a number, what it is.

    Raises:
        CutError: it is no message.
    """
    at, end = span
    while at < end:
        key, at = varint(data, at, end)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at, end)
            yield number, value
            continue
        if kind == 2:
            length, at = varint(data, at, end)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise CutError(f"byte {at} begins no field")
        if number == 0 or at + length > end:
            raise CutError(f"a field of {length} bytes at byte {at} goes beyond the end")
        yield number, (at, at + length)
        at += length


def varint(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """A number of variable length, and where it ends.

    Raises:
        CutError: it does not.
    """
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise CutError(f"a number is cut off at byte {at}")


def blocks(data: Bytes, span: Span, wanted: int) -> Iterator[Span]:
    """Where the messages, texts or bytes of one field lie."""
    for number, value in fields(data, span):
        if number == wanted and isinstance(value, tuple):
            yield value


def text(data: Bytes, span: Span) -> str:
    return data[span[0] : span[1]].decode("utf-8", "replace")
