"""Datasets: named, content-addressed folders. Equal files are one version, whoever publishes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from skylift.artifacts import endpoints, layout, manifests, objects, transfer
from skylift.artifacts.records import DatasetManifest, ModelRef, VersionAlias, digest_of, encode
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


def digest_of_folder(name: str, folder: Path) -> str:
    """The `name@digest` that publishing a folder as it is would give; nothing is sent."""
    return f"{name}@{digest_of(encode(DatasetManifest(name=name, files=manifests.files_of(folder))))}"


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


@dataclass(frozen=True)
class Version:
    """A version that is whole. `modified` is when its manifest came, by the store's clock."""

    name: str
    digest: str
    modified: datetime
    manifest: DatasetManifest

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.digest}"

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self.manifest.files)


def read_versions(keep: Store, name: str) -> list[Version]:
    """All versions that are whole with what is known of them, oldest first. One that is damaged is left out."""

    def read(digest: str) -> Version | None:
        stat = keep.stat(f"{_root(name)}/{digest}/{layout.MANIFEST}")
        try:
            return Version(name, digest, stat.modified, read_manifest(keep, f"{name}@{digest}")) if stat else None
        except (ObjectNotFoundError, InputError):
            return None

    found = [version for version in objects.each(read, list_versions(keep, name)) if version is not None]
    return sorted(found, key=lambda version: (version.modified, version.digest))


@dataclass(frozen=True)
class Use:
    """A model's version that was trained on a version of a dataset, and the endpoints that answer with it now."""

    model: str
    version: int
    dataset: str
    endpoints: tuple[str, ...]


def used_by(keep: Store) -> dict[str, list[Use]]:
    """By name of a dataset, the models that were trained on it. Reads the manifest of every model."""
    serving = endpoints.serving(keep)

    def read(ref: ModelRef) -> Use | None:
        try:
            dataset = manifests.read_model(keep, ref).dataset
        except (ObjectNotFoundError, InputError):
            return None
        where = tuple(name for name, digests in sorted(serving.items()) if (ref.name, ref.digest) in digests)
        return Use(ref.name, ref.version, dataset, where) if dataset else None

    found: dict[str, list[Use]] = {}
    for use in objects.each(read, [ref for name in keep.folders(layout.MODELS) for ref in _versions_of(keep, name)]):
        if use is not None:
            found.setdefault(use.dataset.partition("@")[0], []).append(use)
    return found


def _versions_of(keep: Store, model: str) -> list[ModelRef]:
    numbers = objects.numbered(keep, layout.model_versions(model))
    aliases = objects.each(lambda n: objects.find(keep, layout.model_version(model, n), VersionAlias), numbers)
    return [
        ModelRef(name=model, version=found.record.version, digest=found.record.digest)
        for found in aliases
        if found is not None
    ]


def remove(keep: Store, name: str) -> int:
    """Remove all versions of a dataset, manifests first, and uploads that were broken off; the bytes of what lay there."""
    found = list(keep.list(_root(name)))
    first = [stat.key for stat in found if stat.key.count("/") == 3 and stat.key.endswith(f"/{layout.MANIFEST}")]
    keep.delete(first)
    keep.delete([stat.key for stat in found if stat.key not in set(first)])
    return sum(stat.size for stat in found)


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
