"""Models: immutable versions, known by the SHA-256 of their manifest; integers are their aliases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from skylift.artifacts import endpoints, layout, manifests, objects, transfer
from skylift.artifacts.records import ModelManifest, ModelRef, PublishedModel, VersionAlias, encode, now
from skylift.errors import ConflictError, InputError, NotFoundError, not_found
from skylift.store import ObjectExistsError, ObjectNotFoundError, Store


def publish(
    keep: Store, name: str, folder: Path, manifest: ModelManifest, *, progress: transfer.Progress | None = None
) -> PublishedModel:
    """Make a version of the files in `folder`: only what the newest version does not have travels, the manifest comes last.

    Args:
        manifest: what is to be known of the version; its `name` and `files` are filled in here. The same manifest and files give
            the same version again.
    """
    layout.check_name("model", name)
    files = manifests.files_of(folder, progress=progress)
    raw = encode(msgspec.structs.replace(manifest, name=name, files=files))
    known = _files_of_newest(keep, name)
    digest = manifests.publish(keep, folder, f"{layout.MODELS}/{name}", raw, files, known=known, progress=progress)
    return PublishedModel(name=name, digest=digest, version=_alias(keep, name, digest, manifest))


def _files_of_newest(keep: Store, name: str) -> dict[str, str]:
    versions = list_versions(keep, name)
    if not versions:
        return {}
    folder = layout.model(name, versions[-1].digest)
    try:
        newest = manifests.read_digested(keep, folder, ModelManifest)
    except (ObjectNotFoundError, InputError):
        return {}  # removed meanwhile, damaged or newer than us: then everything travels
    return {entry.sha256: f"{folder}/{entry.path}" for entry in newest.files}


def _alias(keep: Store, name: str, digest: str, manifest: ModelManifest) -> int:
    while True:
        aliases = _aliases(keep, name)
        for alias in aliases:
            if alias.digest == digest:
                return alias.version
        version = max((alias.version for alias in aliases), default=0) + 1
        alias = VersionAlias(name=name, version=version, digest=digest, created=now(), by=manifest.by, run=manifest.run)
        try:
            objects.create(keep, layout.model_version(name, version), alias)
            return version
        except ObjectExistsError:
            continue  # another version took the number


def _aliases(keep: Store, name: str) -> list[VersionAlias]:
    numbers = objects.numbered(keep, layout.model_versions(name))
    keys = [layout.model_version(name, number) for number in numbers]
    return objects.each(lambda key: objects.read(keep, key, VersionAlias).record, keys)


def list_models(keep: Store) -> list[str]:
    """Names of the models that have a version, sorted."""
    return [name for name in keep.folders(layout.MODELS) if list_versions(keep, name)]


def list_versions(keep: Store, name: str) -> list[VersionAlias]:
    """The versions of a model, oldest first, without those that were removed; a number is never given twice."""
    there = set(keep.folders(f"{layout.MODELS}/{name}"))
    return [alias for alias in _aliases(keep, name) if alias.digest in there] if there else []


def resolve(keep: Store, ref: str) -> ModelRef:
    """The version that `ref` means: `name` or `name:latest` (the newest), `name:3`, `name@<sha256 or its unique beginning>`.

    Raises:
        NotFoundError: no such model or version.
        InputError: the beginning fits several versions, or the reference has no known form.
    """
    name, digest, number = _parse(ref)
    versions = list_versions(keep, layout.check_name("model", name))
    if not versions:
        raise not_found("model", name, list_models(keep), hint="`skylift models` lists them")
    fits = _fitting(versions, digest, number)
    if len({alias.digest for alias in fits}) > 1:
        raise InputError(
            f"{ref!r} fits {len(fits)} versions: {', '.join(f'{a.version} ({a.digest[:12]})' for a in fits[:5])}",
            hint="give more of the digest",
        )
    if not fits:
        there = [f"{name}@{alias.digest[:12]}" if digest else f"{name}:{alias.version}" for alias in versions[-10:]]
        raise NotFoundError(
            f"no version {ref!r}; there is {', '.join(there)}", hint=f"`skylift models show {name}` lists them"
        )
    return ModelRef(name=name, version=fits[0].version, digest=fits[0].digest)


def _parse(ref: str) -> tuple[str, str, str]:
    name, at, digest = ref.partition("@")
    name, colon, number = name.partition(":")
    if (at and (colon or not digest)) or (colon and number != "latest" and not number.isdecimal()):
        raise InputError(
            f"{ref!r} names no model version", hint="use name, name:3, name:latest or name@<beginning of the sha256>"
        )
    return name, digest.removeprefix("sha256:"), "" if number == "latest" else number


def _fitting(versions: Sequence[VersionAlias], digest: str, number: str) -> Sequence[VersionAlias]:
    if digest:
        return [alias for alias in versions if alias.digest.startswith(digest)]
    if number:
        return [alias for alias in versions if alias.version == int(number)]
    return versions[-1:]


def read_manifest(keep: Store, ref: ModelRef) -> ModelManifest:
    """What is known of a version.

    Raises:
        ObjectNotFoundError: the version has no manifest, so it does not exist.
        DamagedError: the manifest's bytes do not hash to the digest.
    """
    return manifests.read_model(keep, ref)


def verify(keep: Store, ref: ModelRef, progress: transfer.Progress | None = None) -> ModelManifest:
    """Read a whole version and compare every digest; the manifest.

    Raises:
        ObjectNotFoundError: it has no manifest.
        DamagedError: names each damaged file.
    """
    manifest = manifests.read_model(keep, ref)
    transfer.verify_folder(keep, layout.model(ref.name, ref.digest), manifest.files, progress=progress)
    return manifest


def remove_version(keep: Store, ref: ModelRef) -> None:
    """Remove a version's manifest and then its files. The alias stays, so that the number is never given again.

    Raises:
        ConflictError: an endpoint's current deployment names the version.
    """
    for endpoint, digests in endpoints.serving(keep).items():
        if (ref.name, ref.digest) in digests:
            raise ConflictError(
                f"{ref.name}:{ref.version} is what endpoint {endpoint} serves",
                hint=f"deploy another version first: `skylift deploy {ref.name}:N --endpoint {endpoint}`",
                details={"endpoint": endpoint},
            )
    folder = layout.model(ref.name, ref.digest)
    keys = [found.key for found in keep.list(folder)]
    keep.delete([layout.model_manifest(ref.name, ref.digest)])
    keep.delete([key for key in keys if not key.endswith(f"{ref.digest}/{layout.MANIFEST}")])
