"""Datasets of a stack: prepared by the training program, listed and removed here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from skylift.artifacts import datasets, layout, runs
from skylift.artifacts.datasets import Use, Version
from skylift.artifacts.records import FINAL, DatasetManifest
from skylift.client.purging import Purge, purge
from skylift.errors import ConflictError, InputError, NotFoundError, not_found
from skylift.launch import asking
from skylift.store import ObjectNotFoundError

if TYPE_CHECKING:
    from skylift.client.stack import Stack

DESCRIPTION = "dataset.json"
PROFILE = "profile.html"


@dataclass(frozen=True)
class Preparing:
    """How a dataset is to be prepared.

    Args:
        options: what is asked of cleaning and split, by the names that the training program knows; those left out have its defaults.
        runner: of Apache Beam; without one, the training program does all by itself.
        work: URL of a folder that the runner's workers reach.
        beam: options of Beam's own.
    """

    options: dict[str, Any]
    delimiter: str = ","
    has_header: bool = True
    runner: str = ""
    workers: int = 2
    work: str | None = None
    beam: tuple[str, ...] = ()


class Added(msgspec.Struct, frozen=True):
    """What was published: `dataset` is `name@digest`, `description` what dataset.json says."""

    dataset: str
    bytes: int
    description: dict[str, Any]


def add(stack: Stack, name: str, source: str, how: Preparing, progress: asking.Progress) -> Added:
    """Clean, profile, split and publish a source as the newest version of `name`.

    Args:
        source: a path, a URL of any store, or a set that a package carries (`sklearn:digits`).

    Raises:
        InputError: the source has problems; `details["problems"]` has all of them with file, row, column and fix.
        NotFoundError: there is nothing at that place.
        MachineError: this machine lacks what reads it.
    """
    layout.check_name("dataset", name)
    return msgspec.convert(asking.ask_training_aloud(_arguments(stack, name, source, how), progress), Added)


def _arguments(stack: Stack, name: str, source: str, how: Preparing) -> list[str]:
    asked = msgspec.json.encode(how.options).decode()
    arguments = [
        "data",
        "add",
        f"--name={name}",
        f"--source={source}",
        f"--keep={stack.keep.url}",
        f"--options={asked}",
    ]
    arguments.append(f"--delimiter={how.delimiter}")
    if not how.has_header:
        arguments.append("--no-header")
    if how.runner:
        arguments += [f"--runner={how.runner}", f"--workers={how.workers}", *(f"--beam={one}" for one in how.beam)]
        arguments += [f"--work={how.work}"] if how.work else []
    return arguments


class Shift(msgspec.Struct, frozen=True):
    """A column of two versions: population stability index, and the one from which it counts as moved."""

    column: str
    measure: str
    psi: float
    limit: float
    has_moved: bool


def drift_pair(stack: Stack, name: str, reference: str | None) -> tuple[str, str]:
    """The version to compare with, and the version: `name@digest` each. Without a reference it is the one before.

    Raises:
        NotFoundError: there is no such version, or none before it.
    """
    now = datasets.resolve(stack.keep, name)
    if reference is not None:
        return datasets.resolve(stack.keep, reference), now
    plain, _, digest = now.partition("@")
    versions = [version.digest for version in datasets.read_versions(stack.keep, plain)]
    place = versions.index(digest)
    if place == 0:
        raise NotFoundError(
            f"{plain} has no version before {digest[:12]}", hint=f"name what to compare with: `data drift {name} OTHER`"
        )
    return f"{plain}@{versions[place - 1]}", now


def drift(stack: Stack, reference: str, other: str) -> list[Shift]:
    """How far the training rows of one version lie from another's, by column, the farthest first.

    Args:
        reference, other: `name`, `name@digest` or a unique beginning of it.

    Raises:
        NotFoundError: there is no such version.
        InputError: they have other columns or too few rows, or are folders that were sent as they are.
    """
    refs = [datasets.resolve(stack.keep, ref) for ref in (reference, other)]
    return msgspec.convert(asking.ask_training(["data", "drift", *refs, f"--keep={stack.keep.url}"]), list[Shift])


def sources() -> list[dict[str, str]]:
    """The sets that packages installed here carry: name, target, and what each is."""
    return msgspec.convert(asking.ask_training(["data", "sources"]), list[dict[str, str]])


@dataclass(frozen=True)
class Listed:
    """A dataset with its versions, oldest first, and the models that were trained on any of them."""

    name: str
    versions: list[Version]
    used_by: list[Use]

    @property
    def newest(self) -> Version:
        return self.versions[-1]


def listed(stack: Stack) -> list[Listed]:
    """All datasets that have a whole version."""
    used = datasets.used_by(stack.keep)
    found = [(name, datasets.read_versions(stack.keep, name)) for name in datasets.list_datasets(stack.keep)]
    return [Listed(name, versions, used.get(name, [])) for name, versions in found if versions]


@dataclass(frozen=True)
class Shown:
    """One version. `description` is what dataset.json says, None of a folder that was sent as it is; `profile` is its report's URL."""

    ref: str
    manifest: DatasetManifest
    description: dict[str, Any] | None
    profile: str | None
    versions: list[Version]
    used_by: list[Use]


def show(stack: Stack, ref: str) -> Shown:
    """A version (default: the newest) by `name` or `name@<beginning of its digest>`.

    Raises:
        NotFoundError: no such dataset or version.
    """
    whole = datasets.resolve(stack.keep, ref)
    name, _, digest = whole.partition("@")
    manifest = datasets.read_manifest(stack.keep, whole)
    folder = layout.dataset(name, digest)
    has_profile = any(entry.path == PROFILE for entry in manifest.files)
    return Shown(
        ref=whole,
        manifest=manifest,
        description=_description(stack, folder),
        profile=stack.keep.where(f"{folder}/{PROFILE}") if has_profile else None,
        versions=datasets.read_versions(stack.keep, name),
        used_by=datasets.used_by(stack.keep).get(name, []),
    )


def _description(stack: Stack, folder: str) -> dict[str, Any] | None:
    try:
        raw = stack.keep.get(f"{folder}/{DESCRIPTION}").data
    except ObjectNotFoundError:
        return None
    return msgspec.json.decode(raw, type=dict[str, Any])


def fetch_profile(stack: Stack, ref: str, path: Path) -> None:
    """Write a version's profile to a file.

    Raises:
        NotFoundError: it has none.
    """
    name, _, digest = datasets.resolve(stack.keep, ref).partition("@")
    path.write_bytes(stack.keep.get(f"{layout.dataset(name, digest)}/{PROFILE}").data)


@dataclass(frozen=True)
class Removal:
    """What a removal would take: versions with their bytes, and what was trained on them. `deployed` says where it still answers."""

    name: str
    versions: list[Version]
    bytes: int
    used_by: list[Use]

    @property
    def deployed(self) -> list[Use]:
        return [use for use in self.used_by if use.endpoints]


def plan_removal(stack: Stack, name: str) -> Removal:
    """What would go.

    Raises:
        NotFoundError: no such dataset.
        InputError: a single version was named.
        ConflictError: a run that has not ended needs it.
    """
    if "@" in name:
        raise InputError(
            "a dataset is removed with all of its versions", hint=f"skylift data remove {name.partition('@')[0]}"
        )
    known = datasets.list_datasets(stack.keep)
    if layout.check_name("dataset", name) not in known:
        raise not_found("dataset", name, known, hint="`skylift data list` shows them")
    waiting = _waiting(stack, name)
    if waiting:
        raise ConflictError(
            f"run {waiting[0]} has not ended and needs dataset {name}",
            hint=f"`skylift cancel {waiting[0]}`, or let it end",
            details={"runs": waiting},
        )
    versions = datasets.read_versions(stack.keep, name)
    size = sum(version.bytes for version in versions)
    return Removal(name, versions, size, datasets.used_by(stack.keep).get(name, []))


def _waiting(stack: Stack, name: str) -> list[str]:
    """Runs without a result that were asked to learn from the dataset: each may still be resumed."""
    open_runs = [run.id for run in runs.list_runs(stack.keep, stack.work) if run.state not in FINAL]
    specs = [runs.read_spec(stack.keep, run_id) for run_id in open_runs]
    return [spec.id for spec in specs if (spec.dataset or "").partition("@")[0] == name]


@dataclass(frozen=True)
class Removed:
    """What lay there [bytes], and what the bucket still holds of it."""

    bytes: int
    purge: Purge


def remove(stack: Stack, name: str) -> Removed:
    """Remove all versions, and purge what a versioned bucket would keep of them, as far as rights and retention allow."""
    freed = datasets.remove(stack.keep, name)
    return Removed(freed, purge(stack, f"{layout.DATASETS}/{name}"))


def retention(stack: Stack) -> str:
    """What the bucket keeps of removed objects, in a sentence; what is said of a bucket is what `up` sets there."""
    scheme = stack.keep.url.partition(":")[0]
    if scheme == "file":
        return "they are files of this machine: nothing keeps them"
    days = stack.settings.retention.versions_days
    asked = f"{days} days (skylift:retention.versions_days)"
    return {
        "s3": f"old versions are purged at once; those that you may not purge S3 keeps for {asked}",
        "gs": f"old versions are purged at once, those that you may not purge after {asked}; soft delete can restore them for 7 days",
        "az": f"Azure keeps them by soft delete and as versions for {min(days, 365)} days (skylift:retention.versions_days)",
    }[scheme]
