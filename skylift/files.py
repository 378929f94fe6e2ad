"""Files that are written whole or not at all, and that survive a killed writer.

What is being written lies beside its place as `name#number` under a lock that the kernel lets go with the process; the next writer
of the same name removes what a killed one left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from skylift.errors import InputError

PIECE = 4 * 1024 * 1024
"""Bytes that one step holds in memory."""
_STAGED_FROM = 9_000_001  # obstore numbers the files that it stages from 1


def write_whole(target: Path, pieces: Iterable[bytes], *, create: bool = False, behind: datetime | None = None) -> None:
    """Write a file beside its place and move it there when whole; makes the folders above it.

    Args:
        create: raise FileExistsError where there is one.
        behind: the new file gets a later time than this, so that it never has the token of an earlier one, whose inode may be
            given out again within one tick of the clock.
    """
    with _staged(target) as (handle, staged):
        for piece in pieces:
            _write_all(handle, piece)
        if behind is not None:
            earliest = int(behind.timestamp() * 1_000_000) * 1000 + 2000
            moment = max(time.time_ns(), earliest)
            os.utime(handle, ns=(moment, moment))
        if create:
            os.link(staged, target)
        else:
            staged.replace(target)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; other processes and threads wait for it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def open_alone(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading and appending, made where there is none; other processes and threads that want it wait."""
    while True:
        with path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file.fileno(), path):  # else whoever held it has moved it away
                yield file
                return


@contextlib.contextmanager
def _staged(target: Path) -> Iterator[tuple[int, Path]]:
    number = _STAGED_FROM
    while True:
        staged = target.with_name(f"{target.name}#{number}")
        handle = _open_new(staged)
        if handle is None:  # left behind by a killed process, or being written by a live one, which holds its lock
            number += 0 if _swept(staged) else 1
            continue
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, staged):
                break
        os.close(handle)
    try:
        yield handle, staged
    finally:
        if _is_at(handle, staged):  # else it is in its place, and the name may be another writer's by now
            staged.unlink(missing_ok=True)
        os.close(handle)


def _open_new(path: Path) -> int | None:
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
    while True:
        try:
            return os.open(path, flags, 0o666)
        except FileExistsError:
            return None
        except FileNotFoundError:  # again where a removal took the emptied folder away in between
            path.parent.mkdir(parents=True, exist_ok=True)


def _swept(staged: Path) -> bool:
    """Remove a staged file that nobody holds; whether the name is free now."""
    try:
        handle = os.open(staged, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(handle, staged):
            staged.unlink(missing_ok=True)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _write_all(handle: int, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(handle, rest) :]


def pieces_of(
    path: Path, *, sha256: str | None = None, progress: Callable[[int], None] | None = None
) -> Iterator[bytes]:
    """A file's bytes, piece by piece.

    Args:
        sha256: what they must hash to, in hex.
        progress: told of each further number of bytes.

    Raises:
        InputError: behind the last piece, where they do not.
    """
    seen = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            seen.update(piece)
            yield piece
            if progress is not None:
                progress(len(piece))
    if sha256 is not None and seen.hexdigest() != sha256:
        raise InputError(f"{path} was changed while it was uploaded", hint="run it again when nothing writes there")
