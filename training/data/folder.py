"""The work folder: what the steps leave for each other, by step and number, in any store."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from skylift.store import Store, open_store
from training.contract import Array

T = TypeVar("T")


class Folder:
    """A folder of a store that belongs to one preparation."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.store: Store = open_store(url)

    def write(self, name: str, value: Any) -> None:
        """Leave a value; whoever runs a step a second time leaves the same."""
        self.store.put(name, msgspec.msgpack.encode(value))

    def read(self, name: str, kind: type[T]) -> T:
        return msgspec.msgpack.decode(self.store.get(name).data, type=kind)

    def write_array(self, name: str, values: Array) -> None:
        """Leave an array as its bare bytes."""
        self.store.put(name, np.ascontiguousarray(values).tobytes())

    def read_array(self, name: str, dtype: Any, start: int = 0, count: int | None = None) -> Array:
        """The array again, or `count` items of it from item `start` on."""
        if count is None:
            return np.frombuffer(self.store.get(name).data, dtype)
        if count == 0:
            return np.empty(0, dtype)
        size = np.dtype(dtype).itemsize
        raw = io.BytesIO()
        for at in range(start * size, (start + count) * size, 1 << 23):
            raw.write(self.store.read_range(name, at, min(1 << 23, (start + count) * size - at)))
        return np.frombuffer(raw.getvalue(), dtype)

    def keep_file(self, path: Path, name: str) -> None:
        """Move a file into the folder."""
        if self.store.folder is not None:
            target = self.store.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
            return
        self.store.upload(path, name)
        path.unlink()


@lru_cache(maxsize=4)
def folder(url: str) -> Folder:
    """The folder of a preparation, opened once in a process."""
    return Folder(url)
