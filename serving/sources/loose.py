"""A base path that may itself be its only version: what a managed service mounts or names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from serving.sources.bases import Base, FileBase, open_base
from serving.sources.fetch import Versions
from serving.sources.listing import Listing
from serving.sources.saved_model import FILE
from skylift.artifacts.layout import MANIFEST

ONLY = "1"
"""The version that a folder without numbered ones is."""
_NAMES = {MANIFEST, FILE, "saved_model.pbtxt", "saved_model.cpb"}


def holds_version(names: Iterable[str]) -> bool:
    """Whether files of these names make a version, as far as names tell."""
    return any(name in _NAMES or name.endswith((".onnx", ".tflite")) for name in names)


def open_loose(base_path: str, cache: Versions) -> Base:
    """A folder, or a URL of one, with a folder for each version, or with one version's files.

    Raises:
        InputError: the URL is of no known form.
    """
    return _LooseBase(open_base(base_path, cache))


class _LooseBase:
    def __init__(self, base: Base) -> None:
        self._base = base
        self._is_version = False

    @property
    def url(self) -> str:
        return self._base.url

    @property
    def is_local(self) -> bool:
        return self._base.is_local

    def folders(self) -> Sequence[str]:
        names = self._base.folders()
        self._is_version = not any(name.isascii() and name.isdigit() for name in names)
        return [ONLY] if self._is_version else names

    def listing(self, name: str) -> Listing:
        base, name = self._inside(name)
        return base.listing(name)

    def bring(self, name: str, listing: Listing, owner: str) -> Path:
        base, name = self._inside(name)
        return base.bring(name, listing, owner)

    def keep(self, folders: Collection[Path], owner: str) -> None:
        self._base.keep(folders, owner)

    def _inside(self, name: str) -> tuple[Base, str]:
        """Where a version lies: a folder is a version of the one above it, a prefix of itself."""
        if not self._is_version:
            return self._base, name
        if isinstance(self._base, FileBase):
            return FileBase(self._base.root.parent), self._base.root.name
        return self._base, ""
