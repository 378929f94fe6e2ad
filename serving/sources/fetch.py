"""Versions from an object store in a folder of this machine: whole or not at all, gone on with after a break, kept while held."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serving.sources import whole
from serving.sources.listing import Listing
from skylift.artifacts.objects import each
from skylift.artifacts.transfer import FILES_AT_ONCE, RANGES_AHEAD, read_ahead
from skylift.errors import MachineError, SkyliftError
from skylift.files import open_alone
from skylift.store import Stat, Store, check_key, translate

_STAGED, _LOCK = ".part", ".lock"


class NotWholeError(SkyliftError):
    """A version lacks files, or has damaged ones; `details["reasons"]` names them."""

    kind = "not_whole"

    def __init__(self, where: str, reasons: Sequence[str]) -> None:
        super().__init__(
            f"{where} is not whole: {'; '.join(reasons[:5])}",
            hint="it is taken when all of it is there",
            details={"reasons": list(reasons)},
        )


class Versions:
    """A folder of fetched versions, which several models and several servers of one machine may share.

    A version lies below its base path's and its content's hash, so that another content never takes its place. What is being fetched
    lies beside it under `.part`, and is gone on with by the next attempt.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._held: dict[Path, int] = {}
        """An open folder with a shared lock each: no other process removes it."""
        self._owners: dict[Path, set[str]] = {}
        self._lock = threading.Lock()

    def fetch(self, store: Store, name: str, listing: Listing, owner: str) -> Path:
        """The folder of a version, which is fetched if it is not there. It is kept until its last owner calls `keep` without it.

        Args:
            name: the version's folder in the store.
            listing: its files; whoever replaces one of them meanwhile makes the attempt fail.
            owner: the model's name.

        Raises:
            NotWholeError: files are missing; what can be told without fetching large ones is told before.
            MachineError: no room, or no right to write.
            SkyliftError: the store cannot be reached, or has something else now.
        """
        folder = self._root / _hash(store.url) / _hash(f"{name} {listing.state}")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with open_alone(folder.with_suffix(_LOCK)):
                if not _has(folder, listing):
                    self._bring(store, name, listing, folder)
                self._hold(folder, owner)
        except OSError as error:
            raise translate(error, str(folder), "write") from error
        return folder

    def _bring(self, store: Store, name: str, listing: Listing, folder: Path) -> None:
        staged, where = folder.with_suffix(_STAGED), f"{store.url}/{name}"
        staged.mkdir(exist_ok=True)
        self._check_room(staged, listing)
        _download(store, staged, {path: listing.objects[path] for path in whole.heads(listing.sizes)})
        if reasons := whole.missing(staged, listing.sizes):
            raise NotWholeError(where, reasons)
        _download(store, staged, listing.objects)
        if reasons := whole.damaged(staged):
            shutil.rmtree(staged)
            raise NotWholeError(where, reasons)
        shutil.rmtree(folder, ignore_errors=True)
        staged.rename(folder)

    def _check_room(self, staged: Path, listing: Listing) -> None:
        here = sum(path.stat().st_size for path in staged.rglob("*") if path.is_file())
        wanted = sum(listing.sizes.values()) - here
        free = shutil.disk_usage(staged).free
        if wanted > free:
            raise MachineError(
                f"no room for {wanted:,} more bytes in {self._root}: the disk has {free:,} left",
                hint="free some space, or name another folder with --cache",
                details={"folder": str(self._root), "wanted": wanted, "free": free},
            )

    def _hold(self, folder: Path, owner: str) -> None:
        with self._lock:
            self._owners.setdefault(folder, set()).add(owner)
            if folder not in self._held:
                handle = os.open(folder, os.O_RDONLY)
                fcntl.flock(handle, fcntl.LOCK_SH)
                self._held[folder] = handle

    def keep(self, url: str, owner: str, folders: Collection[Path]) -> None:
        """An owner needs only these of a base path's versions. What nobody needs is removed, here and by other processes."""
        base = self._root / _hash(url)
        with self._lock:
            for folder, owners in list(self._owners.items()):
                if folder.parent == base and folder not in folders:
                    owners.discard(owner)
                    if not owners:
                        del self._owners[folder]
                        os.close(self._held.pop(folder))
            needed = {folder.name for folder in self._owners}
        with contextlib.suppress(FileNotFoundError):
            for name in {entry.name.partition(".")[0] for entry in base.iterdir()} - needed:
                _remove_unless_held(base / name)


def _remove_unless_held(folder: Path) -> None:
    """Remove a version, and what was fetched of it, unless another process fetches or serves it."""
    with contextlib.suppress(BlockingIOError, FileNotFoundError), contextlib.ExitStack() as stack:
        for path in (folder.with_suffix(_LOCK), folder):
            if path.exists():
                handle = os.open(path, os.O_RDONLY)
                stack.callback(os.close, handle)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder.with_suffix(_STAGED), ignore_errors=True)
        folder.with_suffix(_LOCK).unlink(missing_ok=True)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _has(folder: Path, listing: Listing) -> bool:
    """Whether all files are there. They were checked before the folder got its name."""
    try:
        return folder.is_dir() and all((folder / path).stat().st_size == size for path, size in listing.sizes.items())
    except OSError:
        return False


def _download(store: Store, folder: Path, objects: Mapping[str, Stat]) -> None:
    with ThreadPoolExecutor(FILES_AT_ONCE * RANGES_AHEAD) as ranges:
        each(
            lambda item: _file(store, folder / check_key(item[0]), item[1], ranges),
            sorted(objects.items()),
            workers=FILES_AT_ONCE,
        )


def _file(store: Store, target: Path, found: Stat, ranges: ThreadPoolExecutor) -> None:
    if target.exists() and target.stat().st_size == found.size:
        return
    part = target.with_name(f".{target.name}{_STAGED}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as file:
        for piece in read_ahead(store, found, file.tell(), found.size, ranges):
            file.write(piece)
        size = file.tell()
    if size != found.size:
        part.unlink()
        raise NotWholeError(store.where(found.key), [f"{size} of {found.size} bytes came"])
    part.replace(target)
