"""Folders that exist by their manifest: it is written last, create-only, and the digest of its bytes is the folder's name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from skylift.artifacts import layout, objects, transfer
from skylift.artifacts.records import FileEntry, ModelManifest, ModelRef, Record, decode, digest_of
from skylift.errors import InputError
from skylift.store import ObjectExistsError, Store

R = TypeVar("R", bound=Record)


def read_digested(keep: Store, folder: str, kind: type[R]) -> R:
    """Read `<folder>/manifest.json` where `<folder>` ends in its digest.

    Raises:
        ObjectNotFoundError: there is no manifest, so the version does not exist.
        DamagedError: its bytes do not hash to the digest.
    """
    key = f"{folder}/{layout.MANIFEST}"
    raw = keep.get(key).data
    if digest_of(raw) != folder.rpartition("/")[2]:
        raise objects.DamagedError(
            f"{keep.where(key)} is damaged: its bytes do not hash to the version's digest",
            hint="restore the object from an older version of the bucket, or publish the version again",
            details={"files": [layout.MANIFEST]},
        )
    return decode(raw, kind, keep.where(key))


def read_model(keep: Store, ref: ModelRef) -> ModelManifest:
    return read_digested(keep, layout.model(ref.name, ref.digest), ModelManifest)


def files_of(folder: Path, *, progress: transfer.Progress | None = None) -> list[FileEntry]:
    """The files to publish.

    Raises:
        InputError: there are none, or one takes the manifest's place.
    """
    files = transfer.hash_folder(folder, progress=progress)
    if not files:
        raise InputError(f"{folder} is empty", hint="name a folder with files in it")
    if any(entry.path.split("/")[0] == layout.MANIFEST for entry in files):
        raise InputError(f"{folder} holds a {layout.MANIFEST}", hint="rename it: that name is the version's own")
    return files


def publish(
    keep: Store,
    folder: Path,
    prefix: str,
    raw: bytes,
    files: Sequence[FileEntry],
    *,
    known: dict[str, str],
    progress: transfer.Progress | None = None,
) -> str:
    """Upload `files` below `<prefix>/<digest of raw>` and then the manifest `raw`; the digest. Harmless where it was done before."""
    digest = digest_of(raw)
    target = f"{prefix}/{digest}"
    transfer.upload_folder(folder, files, keep, target, known=known, progress=progress)
    try:
        keep.create(f"{target}/{layout.MANIFEST}", raw)
    except ObjectExistsError:
        read_digested(
            keep, target, Record
        )  # equal content has an equal name: there is nothing to do unless it is damaged
    return digest
