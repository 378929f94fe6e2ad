"""Downloaded versions on this machine: checked once, found again by a restart, and enough to start from without the bucket."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from skylift.artifacts import endpoints, layout, models, transfer
from skylift.artifacts.records import Deployment, ModelManifest, ModelRef, decode, digest_of, encode
from skylift.errors import DeployError, MachineError, SkyliftError
from skylift.store import Store, translate

_MARK = ".complete.json"


class _Seen(msgspec.Struct, frozen=True):
    size: int
    modified_ns: int


class Cache:
    """The folder `root`; one version in a folder named by its digest.

    A mark with size and time of every file is written when all were checked: a version whose files still fit it is not read again.
    The parts of a chain lie in folders of their own, which its folder names `part1`, `part2`, …: chains may share them.

    Args:
        remote: numbers of parts that other servers have: of those only the manifests are brought.
    """

    def __init__(self, root: Path, endpoint: str, remote: Collection[int] = ()) -> None:
        self._remote = remote
        self._root = root
        self._last = root / f"last-{endpoint}.json"
        self._held: dict[str, int] = {}
        """By digest, an open folder with a shared lock: no other process of this cache removes it."""
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MachineError(
                f"cannot make {root}: {error.strerror}", hint="name another folder with --cache"
            ) from None

    def fetch(self, keep: Store, ref: ModelRef) -> Path:
        """The folder of a version, downloaded and checked with its parts if it is not there.

        Raises:
            SkyliftError: it or a part, which is named, does not exist, is damaged, or the bucket cannot be reached.
        """
        with self._locked():
            folder = self._bring(keep, ref)
            for number, part in enumerate(_chain(folder), start=1):
                try:
                    self._bring(keep, part, is_remote=number in self._remote)
                except SkyliftError as error:
                    raise _of_part(error, number, part, ref) from error
                _link(folder / f"part{number}", part)
        return folder

    def _bring(self, keep: Store, ref: ModelRef, *, is_remote: bool = False) -> Path:
        folder = self._root / ref.digest
        try:
            if not self._is_here(folder, ref, is_remote=is_remote):
                (self._describe if is_remote else self._download)(keep, ref, folder)
            self._hold(folder)
        except OSError as error:
            raise translate(error, str(folder), "write") from error
        return folder

    def _describe(self, keep: Store, ref: ModelRef, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / layout.MANIFEST).write_bytes(_manifest_as_published(keep, ref))

    def _download(self, keep: Store, ref: ModelRef, folder: Path) -> None:
        manifest = models.read_manifest(keep, ref)
        folder.mkdir(exist_ok=True)
        (folder / _MARK).unlink(missing_ok=True)
        transfer.download_folder(keep, layout.model(ref.name, ref.digest), manifest.files, folder)
        (folder / layout.MANIFEST).write_bytes(_manifest_as_published(keep, ref))
        self._mark(folder, manifest)

    def find(self, ref: ModelRef) -> Path | None:
        """The folder of a version if it is here with its parts."""
        folder = self._held_folder(ref)
        if not self._is_complete(folder, ref):
            return None
        for number, part in enumerate(_chain(folder), start=1):
            own = self._held_folder(part)
            if not self._is_here(own, part, is_remote=number in self._remote):
                return None
            _link(folder / f"part{number}", part)
        return folder

    def _held_folder(self, ref: ModelRef) -> Path:
        folder = self._root / ref.digest
        with contextlib.suppress(OSError):
            self._hold(folder)  # first, lest it be removed between the look and the use
        return folder

    def remember(self, deployment: Deployment) -> None:
        """Note the deployment that answers now: a start without the bucket begins with it."""
        staged = self._last.with_suffix(f".{os.getpid()}")
        staged.write_bytes(encode(deployment))
        staged.replace(self._last)

    def remembered(self) -> Deployment | None:
        try:
            return decode(self._last.read_bytes(), Deployment, str(self._last))
        except (OSError, SkyliftError):
            return None

    def prune(self, keep: set[str]) -> None:
        """Remove all versions but those in `keep`, those that another endpoint of this cache remembers, the parts of both, and those
        that another process loads or serves."""
        with self._locked():
            for path in self._root.glob("last-*.json"):
                with contextlib.suppress(OSError, SkyliftError):
                    remembered = decode(path.read_bytes(), Deployment, str(path))
                    keep = keep | {digest for _, digest in endpoints.named(remembered)}
            keep = keep | {part.digest for digest in keep for part in _chain(self._root / digest)}
            for digest in set(self._held) - keep:
                os.close(self._held.pop(digest))
            for folder in self._root.iterdir():
                if folder.is_dir() and len(folder.name) == 64 and folder.name not in keep:
                    _remove_unless_held(folder)

    def _hold(self, folder: Path) -> None:
        held = os.open(folder, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_SH)
        before, self._held[folder.name] = self._held.get(folder.name), held
        if before is not None:
            os.close(before)  # perhaps of a folder that somebody has removed since

    def _is_complete(self, folder: Path, ref: ModelRef) -> bool:
        try:
            seen = msgspec.json.decode((folder / _MARK).read_bytes(), type=dict[str, _Seen])
            manifest = (folder / layout.MANIFEST).read_bytes()
            return digest_of(manifest) == ref.digest and all(_see(folder / path) == one for path, one in seen.items())
        except (OSError, msgspec.DecodeError):
            return False

    def _is_here(self, folder: Path, ref: ModelRef, *, is_remote: bool) -> bool:
        if not is_remote:
            return self._is_complete(folder, ref)
        try:
            return digest_of((folder / layout.MANIFEST).read_bytes()) == ref.digest
        except OSError:
            return False

    def _mark(self, folder: Path, manifest: ModelManifest) -> None:
        seen = {entry.path: _see(folder / entry.path) for entry in manifest.files}
        (folder / _MARK).write_bytes(msgspec.json.encode(seen))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Two replicas on one machine may share a cache."""
        try:
            handle = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise MachineError(
                f"cannot write to {self._root}: {error.strerror}",
                hint="free some space, or name another folder with --cache",
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _chain(folder: Path) -> Sequence[ModelRef]:
    """The parts of the version in a folder, if it is a chain."""
    try:
        return decode((folder / layout.MANIFEST).read_bytes(), ModelManifest, str(folder)).chain
    except (OSError, SkyliftError):
        return ()


def _link(path: Path, part: ModelRef) -> None:
    target = f"../{part.digest}"
    if path.is_symlink() and path.readlink() == Path(target):
        return
    try:
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    except OSError as error:
        raise translate(error, str(path), "write") from error


def _of_part(error: SkyliftError, number: int, part: ModelRef, chain: ModelRef) -> SkyliftError:
    """The same error, of the same class, which says which part it is about."""
    error.message = (
        f"part {number} of {chain.name}:{chain.version}, which is {part.name}:{part.version}: {error.message}"
    )
    error.args = (error.message,)
    return error


def _remove_unless_held(folder: Path) -> None:
    mine = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(mine)


def _manifest_as_published(keep: Store, ref: ModelRef) -> bytes:
    """The manifest's own bytes, whose digest names the version.

    Raises:
        DeployError: they changed since they were checked.
    """
    raw = keep.get(layout.model_manifest(ref.name, ref.digest)).data
    if digest_of(raw) != ref.digest:
        raise DeployError(f"the manifest of {ref.name}:{ref.version} changes while it is read", hint="deploy again")
    return raw


def _see(path: Path) -> _Seen:
    found = path.stat()
    return _Seen(found.st_size, found.st_mtime_ns)
