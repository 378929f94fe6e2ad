"""Folders of images: the class is the folder's name; `train`, `validation` and `test` above it give the splits."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa  # type: ignore[import-untyped]

from training.data import places
from training.data.chunks import CHUNK_BYTES, Chunk, Part, Piece, Reading, gather, given_split
from training.data.places import Found


def plan(files: list[tuple[Found, str]], reading: Reading) -> list[Piece]:
    """Pieces of neighbouring files; a small file counts as one block of the disk."""
    parts = [
        (Part(found.url, found.name, 0, found.size, 1, given, _label(found.name)), max(found.size, 4096))
        for found, given in files
    ]
    return gather("images", parts)


def _label(name: str) -> str:
    folders = name.split("/")[:-1]
    if folders and given_split(folders[0]):
        folders = folders[1:]
    return "/".join(folders)


def read(piece: Piece, reading: Reading) -> Iterator[Chunk]:
    """Rows of the file's own bytes and its label; decoding them is the steps' part. Each file is a chunk's row."""
    now: list[tuple[Part, bytes]] = []
    size = 0
    for part in piece.parts:
        if now and (size + part.end > CHUNK_BYTES or part.given != now[0][0].given):
            yield _chunk(now)
            now, size = [], 0
        with places.open_file(part.url) as file:
            now.append((part, file.read()))
        size += part.end
    if now:
        yield _chunk(now)


def _chunk(rows: list[tuple[Part, bytes]]) -> Chunk:
    columns = {
        "image": pa.array([data for _, data in rows], pa.binary()),
        "label": pa.array([part.label for part, _ in rows], pa.string()),
        FILE: pa.array([part.name for part, _ in rows], pa.string()),
    }
    return Chunk("", 1, len(rows), columns, rows[0][0].given)


FILE = "#file"
"""A column that names each row's own file; it is no part of the dataset."""
