"""What passes from readers to the steps: some rows of one file, column by column; and the pieces that readers are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

PIECE_BYTES = 32 * 1024 * 1024
"""Bytes of a source that one call of a step takes on."""
PIECE_ROWS = 1_000_000
CHUNK_BYTES = 8 * 1024 * 1024
CHUNK_ROWS = 65_536

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Chunk:
    """Rows in order.

    Args:
        file: its name inside the source.
        first: number of its first row in the file, from 1.
        columns: a pyarrow array of a value a row, or a numpy array `[rows, …]`.
        given: the split that the source itself puts the rows into, or nothing.
    """

    file: str
    first: int
    rows: int
    columns: Mapping[str, Any]
    given: str = ""


class Part(msgspec.Struct, frozen=True):
    """A stretch of a file; what `start` and `end` count (bytes, rows, row groups) is up to the reader. `first` is its first row."""

    url: str
    name: str
    start: int = 0
    end: int = 0
    first: int = 1
    given: str = ""
    label: str = ""


class Piece(msgspec.Struct, frozen=True):
    """What one call of a step takes on: stretches of one or several files."""

    number: int
    kind: str
    bytes: int
    parts: list[Part]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How files are to be read, where they do not say it themselves."""

    delimiter: str = ","
    has_header: bool = True


def gather(kind: str, parts: list[tuple[Part, int]]) -> list[Piece]:
    """Pieces of neighbouring parts, each given with its bytes, none larger than need be."""
    pieces: list[Piece] = []
    now: list[Part] = []
    size = 0
    for part, weight in parts:
        if now and size + weight > PIECE_BYTES:
            pieces.append(Piece(len(pieces), kind, size, now))
            now, size = [], 0
        now.append(part)
        size += weight
    if now:
        pieces.append(Piece(len(pieces), kind, size, now))
    return pieces


_GIVEN = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation"}
_GIVEN |= {"dev": "validation", "test": "test", "testing": "test"}


def given_split(word: str) -> str:
    """The split that a folder's, file's or column's word means, or nothing.

    Examples:
        >>> given_split("Val"), given_split("train"), given_split("cats")
        ('validation', 'train', '')
    """
    return _GIVEN.get(word.strip().lower(), "")
