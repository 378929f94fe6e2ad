"""Datasets: named, content-addressed folders. Equal files are one version, whoever publishes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skylift.artifacts import layout, manifests, objects, transfer
from skylift.artifacts.records import DatasetManifest, encode
from skylift.errors import InputError, not_found
from skylift.store import ObjectNotFoundError, Stat, Store


def publish(
    keep: Store,
    name: str,
    folder: Path,
    facts: Mapping[str, Any] | None = None,
    *,
    rows: int | None = None,
    progress: transfer.Progress | None = None,
) -> str:
    """Make a version of the files in `folder`; its `name@digest`. Files that the newest version has do not travel again."""
    layout.check_name("dataset", name)
    files = manifests.files_of(folder, progress=progress)
    raw = encode(DatasetManifest(name=name, files=files, rows=rows, facts=dict(facts or {})))
    digest = manifests.publish(
        keep, folder, _root(name), raw, files, known=_files_of_newest(keep, name), progress=progress
    )
    return f"{name}@{digest}"


def _root(name: str) -> str:
    return f"{layout.DATASETS}/{name}"


def list_datasets(keep: Store) -> list[str]:
    """Names, sorted."""
    return list(keep.folders(layout.DATASETS))


def list_versions(keep: Store, name: str) -> list[str]:
    """Digests of the versions that are whole, oldest first by the store's clock."""
    keys = [f"{_root(name)}/{digest}/{layout.MANIFEST}" for digest in keep.folders(_root(name))]
    found: list[Stat] = [stat for stat in objects.each(keep.stat, keys) if stat is not None]
    return [stat.key.split("/")[2] for stat in sorted(found, key=lambda stat: (stat.modified, stat.key))]


def _files_of_newest(keep: Store, name: str) -> dict[str, str]:
    versions = list_versions(keep, name)
    if not versions:
        return {}
    folder = layout.dataset(name, versions[-1])
    try:
        newest = manifests.read_digested(keep, folder, DatasetManifest)
    except (ObjectNotFoundError, InputError):
        return {}  # removed meanwhile, damaged or newer than us: then everything travels
    return {entry.sha256: f"{folder}/{entry.path}" for entry in newest.files}


def resolve(keep: Store, ref: str) -> str:
    """`name@digest` for `name`, `name@latest` or `name@<unique beginning of the digest>`.

    Raises:
        NotFoundError: no such dataset or version.
        InputError: the beginning fits several versions.
    """
    name, _, digest = ref.partition("@")
    versions = list_versions(keep, layout.check_name("dataset", name))
    if not versions:
        raise not_found("dataset", name, list_datasets(keep))
    if digest in ("", "latest"):
        return f"{name}@{versions[-1]}"
    fits = [version for version in versions if version.startswith(digest)]
    if len(fits) > 1:
        raise InputError(f"{ref!r} fits {len(fits)} versions", hint="give more of the digest")
    if not fits:
        raise not_found(f"version of dataset {name}", digest, [version[:12] for version in versions])
    return f"{name}@{fits[0]}"


def read_manifest(keep: Store, ref: str) -> DatasetManifest:
    """The manifest of a whole `name@digest`.

    Raises:
        ObjectNotFoundError: the version has no manifest, so it does not exist.
        DamagedError: the manifest's bytes do not hash to the digest.
    """
    name, _, digest = ref.partition("@")
    return manifests.read_digested(keep, layout.dataset(name, digest), DatasetManifest)


def fetch(keep: Store, ref: str, folder: Path, *, progress: transfer.Progress | None = None) -> DatasetManifest:
    """Bring a version's files into a folder; what lies there whole stays."""
    whole = resolve(keep, ref)
    manifest = read_manifest(keep, whole)
    name, _, digest = whole.partition("@")
    transfer.download_folder(keep, layout.dataset(name, digest), manifest.files, folder, progress=progress)
    return manifest
