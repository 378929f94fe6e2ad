"""Shards: .npy files of a limited size, written in one go without knowing how many rows there will be."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np

from training.contract import Array

SHARD_BYTES = 128 * 1024 * 1024
"""Most bytes of a file."""


class File(msgspec.Struct, frozen=True):
    """A written file by its name in the dataset."""

    path: str
    size: int
    sha256: str


class Shard(msgspec.Struct, frozen=True):
    """Rows that lie side by side in one file of each group."""

    rows: int
    files: dict[str, str]
    """Group to path."""


def header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The head of a .npy file; equally long for any number of rows, so that it can be written anew at the end."""
    out = io.BytesIO()
    facts = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, facts)
    return out.getvalue()


class _Open:
    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.path = path
        self._dtype, self._shape = dtype, shape
        self._file: BinaryIO = path.open("w+b")
        self._file.write(header(dtype, (0, *shape)))

    def append(self, values: Array) -> None:
        self._file.write(np.ascontiguousarray(values, self._dtype).data)

    def close(self, rows: int) -> tuple[int, str]:
        self._file.seek(0)
        self._file.write(header(self._dtype, (rows, *self._shape)))
        self._file.seek(0)
        digest = hashlib.sha256()
        while piece := self._file.read(1 << 22):
            digest.update(piece)
        size = self._file.tell()
        self._file.close()
        return size, digest.hexdigest()


class Writer:
    """Writes one piece's rows of one split: `<split>/<group>-<piece>.npy`, and `-<piece>-<n>` beside it where one is full."""

    def __init__(
        self, folder: Path, split: str, piece: int, groups: dict[str, tuple[np.dtype[Any], tuple[int, ...]]]
    ) -> None:
        self._folder, self._split, self._piece, self._groups = folder, split, piece, groups
        widest = max(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize for dtype, shape in groups.values())
        self._limit = max((SHARD_BYTES - 1024) // max(widest, 1), 1)
        self._open: dict[str, _Open] = {}
        self._rows = 0
        self.shards: list[Shard] = []
        self.files: list[File] = []

    def append(self, values: dict[str, Array]) -> None:
        """Add rows, an array for each group."""
        rows = len(next(iter(values.values())))
        at = 0
        while at < rows:
            if not self._open:
                self._begin()
            count = min(rows - at, self._limit - self._rows)
            for group, file in self._open.items():
                file.append(values[group][at : at + count])
            at += count
            self._rows += count
            if self._rows == self._limit:
                self.close()

    def _begin(self) -> None:
        (self._folder / self._split).mkdir(parents=True, exist_ok=True)
        number = len(self.shards)
        end = f"{self._piece:05d}" + (f"-{number}" if number else "")
        for at, (group, (dtype, shape)) in enumerate(self._groups.items()):
            name = group if group in ("numbers", "categories", "target") else f"column{at}"
            self._open[group] = _Open(self._folder / self._split / f"{name}-{end}.npy", dtype, shape)

    def close(self) -> None:
        """End what is open."""
        if not self._open:
            return
        paths: dict[str, str] = {}
        for group, file in self._open.items():
            size, digest = file.close(self._rows)
            paths[group] = f"{self._split}/{file.path.name}"
            self.files.append(File(paths[group], size, digest))
        self.shards.append(Shard(self._rows, paths))
        self._open, self._rows = {}, 0
