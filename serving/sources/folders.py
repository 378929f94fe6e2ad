"""Which versions of a model there are below its base path, and which of them it serves.

The rules are the original's (https://github.com/tensorflow/serving/blob/master/tensorflow_serving/sources/storage_path/
file_system_storage_path_source.cc) but for two: a version counts when all of it is there, and an emptied base path unloads nothing.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serving.interface import ModelConfig
from serving.sources.bases import Base, open_base
from serving.sources.fetch import NotWholeError, Versions
from serving.sources.listing import Listing
from serving.sources.loose import open_loose
from serving.sources.settling import Settling
from skylift.artifacts.layout import MANIFEST
from skylift.errors import SkyliftError

FILE_SETTLE_SECONDS = 1.0
STORE_SETTLE_SECONDS = 3.0
_VERSION = re.compile(r"[0-9]{1,40}")
_MOST = (1 << 63) - 1
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


@dataclass(frozen=True)
class Found:
    """What there is of a model.

    Args:
        wanted: the versions to serve, each with the folder of this machine that holds it.
        waiting: versions that would be served but are not whole yet or could not be fetched, with the reason.
        notes: what somebody should know: two folders of one version, a version that was asked for and is not there.
    """

    wanted: Mapping[int, Path]
    waiting: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def version_of(name: str) -> int | None:
    """The version that a folder's name says, or None: whole numbers below 2^63, leading zeros allowed."""
    number = int(name) if _VERSION.fullmatch(name) else None
    return number if number is not None and number <= _MOST else None


def choose(config: ModelConfig, versions: Iterable[int]) -> Iterator[int]:
    """The versions that a model's policy may serve, in the order in which it wants them."""
    newest = sorted(versions, reverse=True)
    return iter([one for one in newest if one in config.specific] if config.specific else newest)


class Source:
    """Looks for the versions of one model. `look` and `keep` may be called by different threads.

    Args:
        cache: where versions of object stores are brought to.
        settle_seconds: how long a version's files must stay the same [s]; None for 1 on files, 3 in object stores.
        allow_empty: whether a base path without versions unloads what was served from it, as the original does.
        now, wall: monotonic time and time of day [s].
    """

    def __init__(
        self,
        config: ModelConfig,
        cache: Versions,
        *,
        settle_seconds: float | None = None,
        allow_empty: bool = False,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self._cache = cache
        self._base: Base | None = None
        self._settle_seconds = settle_seconds
        self._allow_empty = allow_empty
        self._now, self._wall = now, wall
        self._settling: Settling | None = None
        self._taken: dict[str, Path] = {}
        self._refused: dict[str, tuple[object, str]] = {}
        self._failures: dict[str, tuple[int, float, str]] = {}
        """By folder: attempts to fetch that failed, the time of the next one, why."""
        self._before: Mapping[int, Path] = {}
        self._looking = threading.Lock()
        self._to_keep: set[Path] | None = None
        """What `keep` named while somebody looked."""

    def look(self) -> Found:
        """Look once, and bring what is to be served and not here. Blocks; with an object store for as long as the download takes.

        Raises:
            SkyliftError: the base path is not there or cannot be reached. What was found before stays what is wanted.
        """
        with self._looking:
            found = self._look(self._opened())
            self._taken = {name: folder for name, folder in self._taken.items() if folder in set(found.wanted.values())}
            if self._to_keep is not None:
                self._keep(self._to_keep)
        return found

    def keep(self, folders: Iterable[Path]) -> None:
        """Of what was fetched only these are still read, see `Reconciler.folders`, and what the last look found."""
        wanted = self._to_keep = set(folders)
        # Who is looking may just have fetched what nobody knows of yet; then it is done when the look ends.
        if self._looking.acquire(blocking=False):
            try:
                self._keep(wanted)
            finally:
                self._looking.release()

    def close(self) -> None:
        """The model is no longer served: let go what was fetched for it."""
        with self._looking:
            self._before, self._taken = {}, {}
            self._keep(set())

    def _keep(self, folders: set[Path]) -> None:
        self._to_keep = None
        if self._base is not None:
            self._base.keep(folders | set(self._before.values()), self.config.name)

    def _look(self, base: Base) -> Found:
        names = base.folders()
        self._forget(names)
        by_version, notes = _index(names)
        notes += [
            f"version {version} was asked for, and is not there: {base.url}"
            for version in self.config.specific
            if version not in by_version
        ]
        wanted: dict[int, Path] = {}
        waiting: dict[int, str] = {}
        for version in choose(self.config, by_version):
            if self.config.latest is not None and len(wanted) == self.config.latest:
                break
            taken = self._take(base, by_version[version])
            if isinstance(taken, Path):
                wanted[version] = taken
            else:
                waiting[version] = taken
        if not wanted and self._before and (waiting or not self._allow_empty):
            notes.append(f"no version is left, what is served stays: {base.url}")
            return Found(self._before, waiting, tuple(notes))
        self._before = wanted
        return Found(wanted, waiting, tuple(notes))

    def _opened(self) -> Base:
        if self._base is None:
            opened = open_loose if self.config.is_mounted else open_base
            self._base = opened(self.config.base_path, self._cache)
            is_local = self._base.is_local
            seconds = self._settle_seconds
            if seconds is None:
                seconds = FILE_SETTLE_SECONDS if is_local else STORE_SETTLE_SECONDS
            self._settling = Settling(seconds, is_local=is_local)
        return self._base

    def _forget(self, names: Iterable[str]) -> None:
        there = set(names)
        if self._settling is not None:
            self._settling.forget(there)
        for known in (self._taken, self._refused, self._failures):
            for name in set(known) - there:
                known.pop(name)

    def _take(self, base: Base, name: str) -> Path | str:
        """The folder of a version that is whole, or why it is not taken."""
        if name in self._taken:
            return self._taken[name]
        failures, again_at, why = self._failures.get(name, (0, 0.0, ""))
        if self._now() < again_at:
            return why
        listing = base.listing(name)
        refused = self._refused.get(name)
        if refused is not None and refused[0] == listing.state:
            return refused[1]
        if not self._is_at_rest(name, listing):
            return "its files still change"
        try:
            self._taken[name] = base.bring(name, listing, self.config.name)
        except NotWholeError as error:
            self._refused[name] = (listing.state, error.message)
            return error.message
        except SkyliftError as error:
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 30))
            self._failures[name] = (failures + 1, self._now() + pause, error.message)
            return error.message
        self._failures.pop(name, None)
        return self._taken[name]

    def _is_at_rest(self, name: str, listing: Listing) -> bool:
        assert self._settling is not None
        if MANIFEST in listing.sizes or self.config.is_mounted:
            return True  # its digests decide, or it was whole before it was named
        return self._settling.is_at_rest(name, listing.state, listing.changed, self._now(), self._wall())


def _index(names: Iterable[str]) -> tuple[dict[int, str], list[str]]:
    """Folders by version. Of two for one version the one with fewer leading zeros counts."""
    found: dict[int, str] = {}
    notes = []
    for name in sorted(names):
        version = version_of(name)
        if version is None:
            continue
        if version in found:
            notes.append(f"version {version} has two folders: {name!r} is taken, {found[version]!r} is not")
        found[version] = name
    return found, notes
