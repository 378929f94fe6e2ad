"""Files by path or by the URL of any store, listed and opened the same way."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import msgspec

from skylift.errors import InputError, NotFoundError
from skylift.store import SCHEMES, Store, Token, open_store

BLOCK = 4 * 1024 * 1024
"""Bytes that one request to a store brings."""


class Found(msgspec.Struct, frozen=True):
    """A file: `name` relative to the source, `size` in bytes."""

    url: str
    name: str
    size: int


def find(source: str) -> list[Found]:
    """The files of a source, sorted by name; hidden ones left out.

    Raises:
        NotFoundError: there is nothing.
    """
    path = as_path(source)
    if path is not None:
        return _local(path)
    clean = source.rstrip("/")
    folder, _, name = clean.rpartition("/")
    if "." in name:
        stat = open_store(folder).stat(name)
        if stat is not None:
            return [Found(clean, name, stat.size)]
    listed = [Found(f"{clean}/{stat.key}", stat.key, stat.size) for stat in open_store(clean).list()]
    found = [each for each in listed if not _is_hidden(each.name)]
    if not found:
        raise NotFoundError(
            f"there is nothing at {source}", hint="check the bucket, the path and who you are signed in as"
        )
    return found


def as_path(source: str) -> Path | None:
    """The path, where the source is on this machine."""
    parts = urlsplit(source)
    if "://" not in source:
        return Path(source)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    if parts.scheme not in SCHEMES:
        raise InputError(
            f"{source!r} is of no known kind",
            hint="give a path, a URL file:// s3:// gs:// az://, or sklearn:NAME and the like",
        )
    return None


def _local(path: Path) -> list[Found]:
    if path.is_file():
        return [Found(str(path.absolute()), path.name, path.stat().st_size)]
    if not path.is_dir():
        raise NotFoundError(
            f"there is no {path}", hint="check the path; `skylift data sources` lists sets that packages carry"
        )
    names = sorted(each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file())
    found = [
        Found(str((path / name).absolute()), name, (path / name).stat().st_size)
        for name in names
        if not _is_hidden(name)
    ]
    if not found:
        raise InputError(f"{path} is empty", hint="name a folder with files in it")
    return found


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def open_file(url: str) -> BinaryIO:
    """The file's bytes, to be read and sought in constant memory."""
    path = as_path(url)
    if path is not None:
        return path.open("rb")
    folder, _, name = url.rpartition("/")
    return io.BufferedReader(_Ranges(open_store(folder), name), BLOCK)


class _Ranges(io.RawIOBase):
    """An object as a file: each read is a range of it, all of the same state of the object."""

    def __init__(self, store: Store, key: str) -> None:
        stat = store.stat(key)
        if stat is None:
            raise NotFoundError(f"there is no {store.where(key)}", hint="it was there when the source was listed")
        self._store = store
        self._key = key
        self._size = stat.size
        self._token: Token = stat.token
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        length = min(len(view), self._size - self._at)
        if length <= 0:
            return 0
        read = self._store.read_range(self._key, self._at, length, read=self._token)
        view[: len(read)] = read
        self._at += len(read)
        return len(read)


class Slice(io.RawIOBase):
    """The bytes from `start` to `end` of a file."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        file.seek(start)
        self._file = file
        self._left = end - start

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        piece = self._file.read(min(len(view), self._left))
        view[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """A file's bytes from where it stands, block by block."""
    while block := file.read(BLOCK):
        yield block
