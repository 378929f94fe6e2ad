"""A model's base path: a folder of this machine, or a prefix of a bucket, with a folder for each version."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from serving.sources import whole
from serving.sources.fetch import NotWholeError, Versions
from serving.sources.listing import Listing
from skylift.errors import InputError, NotFoundError
from skylift.store import Store, open_store, translate


class Base(Protocol):
    """A base path: versions in folders that are called after their numbers."""

    @property
    def url(self) -> str: ...

    @property
    def is_local(self) -> bool:
        """Whether its files are on this machine, and their times by its clock."""
        ...

    def folders(self) -> Sequence[str]:
        """Names of the folders right below it.

        Raises:
            SkyliftError: it is not there, or cannot be reached.
        """
        ...

    def listing(self, name: str) -> Listing:
        """All files of one of its folders; of a bucket's prefix itself where the name is empty.

        Raises:
            SkyliftError: it cannot be reached.
        """
        ...

    def bring(self, name: str, listing: Listing, owner: str) -> Path:
        """The folder of this machine that holds a version; `owner` is the model's name.

        Raises:
            NotWholeError: not all of it is there.
            SkyliftError: it cannot be fetched.
        """
        ...

    def keep(self, folders: Collection[Path], owner: str) -> None:
        """Of what was brought for a model only these are still needed."""
        ...


def open_base(base_path: str, cache: Versions) -> Base:
    """A folder, or a URL of one: file, s3, gs, az.

    Raises:
        InputError: the URL is of no known form.
    """
    if "://" not in base_path:
        return FileBase(Path(base_path))
    if urlsplit(base_path).scheme == "file":
        path = Path(unquote(urlsplit(base_path).path))
        if urlsplit(base_path).netloc or not path.is_absolute():
            raise InputError(f"{base_path!r} is no absolute file URL", hint="write three slashes: file:///folder")
        return FileBase(path)
    return StoreBase(open_store(base_path), cache)


class FileBase:
    """A folder of this machine, or one that is mounted. Its versions are used where they lie."""

    is_local = True

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def url(self) -> str:
        return str(self.root)

    def folders(self) -> Sequence[str]:
        try:
            with os.scandir(self.root) as found:
                return sorted(entry.name for entry in found if entry.is_dir())
        except FileNotFoundError:
            raise NotFoundError(
                f"Could not find base path {self.root}", hint="is the disk mounted? The path is one that holds versions"
            ) from None
        except OSError as error:
            raise translate(error, str(self.root), "list") from error

    def listing(self, name: str) -> Listing:
        sizes: dict[str, int] = {}
        state: list[tuple[str, int, int]] = []
        changed = 0.0
        top = self.root / name
        try:
            for path, found in _walk(top):
                relative = path.relative_to(top).as_posix()
                # A copy may have the original's time of modification; that of the inode's last change is always the true one.
                changed = max(changed, found.st_ctime)
                state.append((relative, found.st_ino, found.st_ctime_ns))
                if not path.is_dir():
                    sizes[relative] = found.st_size
        except FileNotFoundError:
            return Listing({}, None, 0.0, {})  # it goes while it is looked at
        except OSError as error:
            raise translate(error, str(top), "list") from error
        return Listing(sizes, (tuple(sorted(state)), tuple(sorted(sizes.items()))), changed, {})

    def bring(self, name: str, listing: Listing, owner: str) -> Path:
        folder = self.root / name
        if reasons := whole.missing(folder, listing.sizes) or whole.damaged(folder):
            raise NotWholeError(str(folder), reasons)
        return folder

    def keep(self, folders: Collection[Path], owner: str) -> None:
        pass  # they lie where somebody else put them


def _walk(top: Path) -> Iterator[tuple[Path, os.stat_result]]:
    yield top, top.stat()
    for folder, names, files in os.walk(top, followlinks=True, onerror=_raise):
        for name in (*names, *files):
            path = Path(folder, name)
            yield path, path.stat()


def _raise(error: OSError) -> None:
    raise error


class StoreBase:
    """A prefix of a bucket."""

    is_local = False

    def __init__(self, store: Store, cache: Versions) -> None:
        self._store = store
        self._cache = cache

    @property
    def url(self) -> str:
        return self._store.url

    def folders(self) -> Sequence[str]:
        return self._store.folders()

    def listing(self, name: str) -> Listing:
        objects = {}
        for found in self._store.list(name):
            _, separator, path = found.key.partition(f"{name}/") if name else ("", "/", found.key)
            if separator and path and not path.endswith("/"):  # else an empty object that stands for a folder
                objects[path] = found
        state = tuple((path, one.size, one.token) for path, one in sorted(objects.items()))
        changed = max((one.modified.timestamp() for one in objects.values()), default=0.0)
        return Listing({path: one.size for path, one in objects.items()}, state, changed, objects)

    def bring(self, name: str, listing: Listing, owner: str) -> Path:
        return self._cache.fetch(self._store, name, listing, owner)

    def keep(self, folders: Collection[Path], owner: str) -> None:
        self._cache.keep(self._store.url, owner, folders)
