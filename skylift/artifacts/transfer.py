"""Folders into a bucket and out of it: parallel, in constant memory, only what is not there yet, and on again after a break.

A file is known by its SHA-256. An upload skips what lies in its place whole and copies inside the store what the store has elsewhere.
A download fetches ranges, writes them in order to a hidden `.part` file and goes on from its end next time, as long as the object is
still the same one.
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from os import SEEK_END
from pathlib import Path
from typing import BinaryIO

from skylift.artifacts.objects import DamagedError, each
from skylift.artifacts.records import FileEntry
from skylift.errors import InputError, NotFoundError
from skylift.files import PIECE, open_alone
from skylift.store import COPY_LIMIT, ObjectNotFoundError, Stat, Store, check_key, retried, translate

Progress = Callable[[int, int, str], None]
"""Told of bytes done, bytes in all and the file just now; from several threads, one at a time."""

FILES_AT_ONCE = 4
RANGES_AHEAD = 4
"""Pieces of one file under way at once: with FILES_AT_ONCE they bound the memory, 4 × 4 × 4 MiB."""


class _Meter:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total = total
        self._done = 0
        self._progress = progress
        self._lock = threading.Lock()

    def add(self, size: int, name: str) -> None:
        if self._progress is None:
            return
        with self._lock:
            self._done += size
            self._progress(self._done, self._total, name)


# what a folder holds


def hash_folder(folder: Path, *, progress: Progress | None = None) -> list[FileEntry]:
    """All files below a folder with size and SHA-256, sorted by path.

    Raises:
        NotFoundError: there is no such folder.
        InputError: a link that leaves the folder or goes round in a circle, something that is no file, or a name that no store holds.
    """
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {folder}", details={"folder": str(folder)})
    found = sorted(_walk(folder.resolve(), folder.resolve(), ()), key=lambda item: item[0])
    meter = _Meter(sum(path.stat().st_size for _, path in found), progress)
    return each(lambda item: _entry(item[0], item[1], meter), found, workers=FILES_AT_ONCE)


def _walk(root: Path, folder: Path, above: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    for child in folder.iterdir():
        real = child.resolve()
        if child.is_symlink() and not real.is_relative_to(root):
            raise InputError(f"{child} is a link that leaves {root}", hint="put the file itself there")
        if real.is_dir():
            if real == root or real in above:
                raise InputError(f"{child} is a link that goes round in a circle", hint="remove the link")
            yield from _walk(root, child, (*above, real))
        elif real.is_file():
            yield check_key(child.relative_to(root).as_posix()), child
        else:
            raise InputError(
                f"{child} is no file", hint="remove it: links into nowhere, sockets and pipes do not travel"
            )


def _entry(name: str, path: Path, meter: _Meter) -> FileEntry:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            size += len(piece)
            meter.add(len(piece), name)
    return FileEntry(path=name, size=size, sha256=digest.hexdigest())


# up


def upload_folder(
    folder: Path,
    files: Sequence[FileEntry],
    store: Store,
    prefix: str,
    *,
    known: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> int:
    """Bring the files of a folder below `prefix`, which is named after their content.

    Args:
        files: what `hash_folder` said.
        known: SHA-256 to the key of an object that holds those bytes already: copied inside the store.

    Returns:
        Bytes that left this machine.

    Raises:
        InputError: a file is no longer what `files` says; it was not written.
    """
    there = {found.key: found.size for found in store.list(prefix)}
    meter = _Meter(sum(entry.size for entry in files), progress)

    def send(entry: FileEntry) -> int:
        key = f"{prefix}/{entry.path}"
        if there.get(key) == entry.size or _copied(store, entry, key, (known or {}).get(entry.sha256)):
            meter.add(entry.size, entry.path)
            return 0
        _send(store, folder / entry.path, key, entry, meter)
        return entry.size

    return sum(each(send, files, workers=FILES_AT_ONCE))


def _send(store: Store, path: Path, key: str, entry: FileEntry, meter: _Meter) -> None:
    sent = 0

    def count(size: int) -> None:
        nonlocal sent
        sent += size
        meter.add(size, entry.path)

    def attempt() -> None:
        nonlocal sent
        if sent:  # what a broken attempt counted
            meter.add(-sent, entry.path)
            sent = 0
        store.upload(path, key, sha256=entry.sha256, progress=count)

    retried(attempt)


def _copied(store: Store, entry: FileEntry, key: str, source: str | None) -> bool:
    if source is None or entry.size > COPY_LIMIT:
        return False
    found = store.stat(source)
    if found is None or found.size != entry.size:
        return False
    with contextlib.suppress(ObjectNotFoundError):
        store.copy(source, key)
        return True
    return False


# down


def download_folder(
    store: Store, prefix: str, files: Sequence[FileEntry], folder: Path, *, progress: Progress | None = None
) -> None:
    """Fetch files into a folder. What lies there whole stays; each other file appears when whole and checked, never before.

    Raises:
        DamagedError: objects are missing, or are not what `files` says; names each that the listing shows.
        MachineError: the disk is full, or the folder may not be written.
    """
    there = {found.key: found for found in store.list(prefix)}
    _refuse(store, prefix, [(entry, _fault(there.get(f"{prefix}/{entry.path}"), entry)) for entry in files])
    meter = _Meter(sum(entry.size for entry in files), progress)
    with ThreadPoolExecutor(FILES_AT_ONCE * RANGES_AHEAD) as ranges:
        each(
            lambda entry: _fetch(store, there[f"{prefix}/{entry.path}"], entry, folder, meter, ranges),
            files,
            workers=FILES_AT_ONCE,
        )


def _fetch(
    store: Store, found: Stat, entry: FileEntry, folder: Path, meter: _Meter, ranges: ThreadPoolExecutor
) -> None:
    target = folder / check_key(entry.path)
    if _is_whole(target, entry):
        meter.add(entry.size, entry.path)
        return
    mark = hashlib.sha256(f"{entry.sha256} {found.token}".encode()).hexdigest()[:12]
    part = target.with_name(f".{target.name}.{mark}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in set(target.parent.glob(f".{_escaped(target.name)}.*.part")) - {part}:
            old.unlink(missing_ok=True)  # of an object that is no longer there
        with open_alone(part) as file:
            if not _is_whole(target, entry):  # else another process brought it while this one waited
                _complete(store, found, entry, file, meter, ranges)
                part.replace(target)
            else:
                part.unlink()
                meter.add(entry.size, entry.path)
    except DamagedError:
        part.unlink(missing_ok=True)
        raise
    except OSError as error:
        raise translate(error, str(target), "write") from error


def _complete(
    store: Store, found: Stat, entry: FileEntry, file: BinaryIO, meter: _Meter, ranges: ThreadPoolExecutor
) -> None:
    has_begun = file.seek(0, SEEK_END) > 0
    if _grow(store, found, entry, file, meter, ranges) == entry.sha256:
        return
    if has_begun:  # what an earlier attempt left may be what is wrong
        meter.add(-file.seek(0, SEEK_END), entry.path)
        file.truncate(0)
        if _grow(store, found, entry, file, meter, ranges) == entry.sha256:
            return
    raise DamagedError(
        f"{store.where(found.key)} is damaged: its bytes do not hash to what was published",
        hint="remove the version and publish it again, or restore the object from an older version of the bucket",
        details={"files": [entry.path]},
    )


def _grow(
    store: Store, found: Stat, entry: FileEntry, file: BinaryIO, meter: _Meter, ranges: ThreadPoolExecutor
) -> str:
    """Bring a `.part` file to its full size; the SHA-256 of the whole."""
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(PIECE):
        digest.update(piece)
        meter.add(len(piece), entry.path)
    for piece in read_ahead(store, found, file.tell(), entry.size, ranges):
        file.write(piece)
        digest.update(piece)
        meter.add(len(piece), entry.path)
    file.flush()
    return digest.hexdigest()


def read_ahead(store: Store, found: Stat, begin: int, end: int, ranges: ThreadPoolExecutor) -> Iterator[bytes]:
    """The bytes of an object in order, RANGES_AHEAD requests under way at once.

    Raises:
        ObjectChangedError: somebody replaced the object.
    """
    ahead: deque[Future[bytes]] = deque()
    try:
        for start in range(begin, end, PIECE):
            length = min(PIECE, end - start)
            ahead.append(ranges.submit(store.read_range, found.key, start, length, read=found.token))
            if len(ahead) == RANGES_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        for future in ahead:
            future.cancel()


def _is_whole(path: Path, entry: FileEntry) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
        return False
    return _entry(entry.path, path, _Meter(0, None)).sha256 == entry.sha256


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


# whole?


def verify_folder(store: Store, prefix: str, files: Sequence[FileEntry], *, progress: Progress | None = None) -> None:
    """Read every file in the store and compare size and SHA-256.

    Raises:
        DamagedError: names each file that is missing, cut short or changed.
    """
    there = {found.key: found for found in store.list(prefix)}
    meter = _Meter(sum(entry.size for entry in files), progress)

    def check(entry: FileEntry) -> tuple[FileEntry, str]:
        key = f"{prefix}/{entry.path}"
        fault = _fault(there.get(key), entry)
        if fault:
            return entry, fault
        digest = hashlib.sha256()
        for piece in store.stream(key):
            digest.update(piece)
            meter.add(len(piece), entry.path)
        return entry, "" if digest.hexdigest() == entry.sha256 else "its bytes were changed"

    _refuse(store, prefix, each(check, files, workers=FILES_AT_ONCE))


def _fault(found: Stat | None, entry: FileEntry) -> str:
    if found is None:
        return "missing"
    return "" if found.size == entry.size else f"{found.size} bytes instead of {entry.size}"


def _refuse(store: Store, prefix: str, checked: Sequence[tuple[FileEntry, str]]) -> None:
    bad = {entry.path: fault for entry, fault in checked if fault}
    if not bad:
        return
    shown = "; ".join(f"{path}: {fault}" for path, fault in list(bad.items())[:5])
    rest = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    raise DamagedError(
        f"{store.where(prefix)} is damaged: {shown}{rest}",
        hint="publish it again, or restore the objects from older versions of the bucket",
        details={"files": sorted(bad), "faults": bad},
    )
