"""What may go: found, weighed and explained first, removed on request. Nothing that is deployed or that a live run refers to.

A live run is one without a result: it resumes under its id, so its checkpoints, dataset and code stay however old it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from skylift.artifacts import endpoints, layout, models, objects
from skylift.artifacts.manifests import read_digested
from skylift.artifacts.records import ModelManifest, RunResult, RunSpec
from skylift.errors import ConflictError, InputError
from skylift.store import ObjectNotFoundError, Stat, Store

Kind = Literal["checkpoints", "model", "dataset", "code", "logs", "unfinished upload"]

YOUNG = timedelta(days=1)
"""What is younger stays: it may belong to an upload or a run that is just beginning."""


@dataclass(frozen=True)
class Item:
    """One thing that may go. `keys` are in the order in which they are removed: a manifest comes first."""

    kind: Kind
    name: str
    keys: list[str]
    bytes: int
    why: str
    store: Store = field(repr=False)


@dataclass(frozen=True)
class _Run:
    spec: RunSpec
    result: RunResult | None


@dataclass(frozen=True)
class _Use:
    """What must stay."""

    runs: dict[str, _Run]
    live: set[str]
    """Live runs, and the runs that they go on from."""
    deployed: set[tuple[str, str]]
    """Versions that any deployment ever named: a rollback may want them."""


def plan(
    keep: Store,
    work: Store,
    *,
    keep_versions: int = 5,
    keep_logs: timedelta = timedelta(days=30),
    young: timedelta = YOUNG,
) -> list[Item]:
    """What may go, largest first. Reads every run, so it takes a while where there are many; removes nothing.

    Args:
        keep_versions: how many of a model's newest versions stay though they were never deployed.
        keep_logs: how long logs and events stay after their run has ended.
        young: what was written more recently than this stays.
    """
    now = objects.clock(work)
    use = _used(keep)
    found = [
        *_checkpoints(work, use, now - young),
        *_old_logs(work, use, now - keep_logs),
        *_models(keep, use, keep_versions, now - young),
        *_datasets(keep, use, now - young),
        *_code(keep, use, now - young),
    ]
    return sorted(found, key=lambda item: (-item.bytes, item.kind, item.name))


def carry_out(items: Iterable[Item]) -> int:
    """Remove what a plan named; the bytes freed.

    Raises:
        ConflictError: a model version was deployed since the plan was made; it and what follows it stay.
    """
    freed = 0
    for item in items:
        if item.kind == "model":
            _refuse_deployed(item)
        item.store.delete(item.keys[:1])
        item.store.delete(item.keys[1:])
        freed += item.bytes
    return freed


def _refuse_deployed(item: Item) -> None:
    for endpoint, versions in endpoints.serving(item.store).items():
        if any(key.startswith(f"{layout.model(*version)}/") for version in versions for key in item.keys):
            raise ConflictError(f"{item.name} is what endpoint {endpoint} serves now", hint="run `skylift gc` again")


def _used(keep: Store) -> _Use:
    def read(run_id: str) -> _Run | None:
        spec = objects.find(keep, layout.run_spec(run_id), RunSpec)
        result = objects.find(keep, layout.run_result(run_id), RunResult)
        return _Run(spec.record, result.record if result else None) if spec else None

    ids = keep.folders(layout.RUNS)
    runs = {run_id: run for run_id, run in zip(ids, objects.each(read, ids), strict=True) if run}
    live = {run_id for run_id, run in runs.items() if run.result is None}
    live |= {runs[run_id].spec.resumed_from or "" for run_id in live}
    deployed = set().union(
        *(
            endpoints.named(made)
            for name in endpoints.list_endpoints(keep)
            for made in endpoints.list_deployments(keep, name)
        )
    )
    return _Use(runs, live, endpoints.with_parts(keep, deployed))


# of runs


def _checkpoints(work: Store, use: _Use, before: datetime) -> Iterator[Item]:
    for run_id in work.folders("checkpoints"):
        if run_id in use.live:
            continue
        run = use.runs.get(run_id)
        found = list(work.list(layout.checkpoints(run_id)))
        if run is None and not _are_older(found, before):
            continue
        why = f"the run {_ended(run)}" if run else "there is no such run"
        yield _item("checkpoints", run_id, work, found, f"{why}; checkpoints serve only to go on with one")


def _ended(run: _Run) -> str:
    assert run.result is not None
    return {"succeeded": "has succeeded", "failed": "has failed", "cancelled": "was cancelled"}[run.result.state]


def _old_logs(work: Store, use: _Use, before: datetime) -> Iterator[Item]:
    for run_id in sorted({*work.folders("logs"), *work.folders("events")}):
        owner = run_id.partition(".")[0]  # of a group each member has its own folder
        run = use.runs.get(owner)
        if owner in use.live:
            continue
        found = [stat for folder in (layout.logs(run_id), layout.events(run_id)) for stat in work.list(folder)]
        if run is not None and run.result is not None and run.result.ended > before:
            continue
        if _are_older(found, before):
            why = f"the run ended on {run.result.ended:%d %b %Y}" if run and run.result else "there is no such run"
            yield _item("logs", run_id, work, found, why)


# of versions


def _models(keep: Store, use: _Use, keep_versions: int, before: datetime) -> Iterator[Item]:
    for name in keep.folders(layout.MODELS):
        versions = models.list_versions(keep, name)
        aliases = {alias.digest: alias for alias in versions}
        newest = {alias.digest for alias in versions[-keep_versions:]} if keep_versions else set()
        for digest in keep.folders(f"{layout.MODELS}/{name}"):
            if digest == "versions" or (name, digest) in use.deployed:
                continue
            found = list(keep.list(layout.model(name, digest)))
            if not _is_published(found):
                if _is_abandoned(keep, found, before):
                    yield _item("unfinished upload", f"{name}@{digest[:12]}", keep, found, _NO_MANIFEST)
            elif digest in newest or not _are_older(found, before):
                continue
            elif digest in aliases:
                why = f"never deployed, and not among the newest {keep_versions}"
                yield _item("model", f"{name}:{aliases[digest].version}", keep, found, why)
            else:
                yield _item("unfinished upload", f"{name}@{digest[:12]}", keep, found, "it never got a number")


_NO_MANIFEST = "it has no manifest: an upload that was broken off, or a version being removed"


def _datasets(keep: Store, use: _Use, before: datetime) -> Iterator[Item]:
    wanted = {run.spec.dataset for run in use.runs.values()} | set(_datasets_of_models(keep))
    for name in keep.folders(layout.DATASETS):
        whole: list[tuple[datetime, str, list[Stat]]] = []
        for digest in keep.folders(f"{layout.DATASETS}/{name}"):
            found = list(keep.list(layout.dataset(name, digest)))
            if _is_published(found):
                whole.append((max(stat.modified for stat in found), digest, found))
            elif _is_abandoned(keep, found, before):
                yield _item("unfinished upload", f"{name}@{digest[:12]}", keep, found, _NO_MANIFEST)
        for modified, digest, found in sorted(whole, key=lambda version: version[:2])[:-1]:
            if f"{name}@{digest}" not in wanted and modified < before:
                why = "no run and no model refers to it, and there is a newer version"
                yield _item("dataset", f"{name}@{digest[:12]}", keep, found, why)


def _datasets_of_models(keep: Store) -> Iterator[str]:
    for name in keep.folders(layout.MODELS):
        for alias in models.list_versions(keep, name):
            try:
                manifest = read_digested(keep, layout.model(name, alias.digest), ModelManifest)
            except (ObjectNotFoundError, InputError):
                continue
            if manifest.dataset:
                yield manifest.dataset


def _code(keep: Store, use: _Use, before: datetime) -> Iterator[Item]:
    wanted = {layout.code(run.spec.code) for run in use.runs.values() if run.spec.code}
    for found in keep.names(layout.CODE):
        if found.key not in wanted and found.modified < before:
            name = found.key.rpartition("/")[2].removesuffix(".tar")[:12]
            yield _item("code", name, keep, [found], "no run refers to it")


def _is_published(found: list[Stat]) -> bool:
    """Whether a version's own manifest is among its objects, at `<kind>/<name>/<digest>/manifest.json`."""
    return any(stat.key.count("/") == 3 and stat.key.endswith(f"/{layout.MANIFEST}") for stat in found)


def _is_abandoned(store: Store, found: list[Stat], before: datetime) -> bool:
    """Whether an upload stopped before that moment. In a store of files a copy is a link and keeps the time of its source."""
    if not _are_older(found, before):
        return False
    if store.folder is None:
        return True
    try:
        return all((store.folder / stat.key).stat().st_ctime < before.timestamp() for stat in found)
    except FileNotFoundError:
        return False  # something goes on there


def _are_older(found: list[Stat], before: datetime) -> bool:
    return all(stat.modified < before for stat in found)


def _item(kind: Kind, name: str, store: Store, found: list[Stat], why: str) -> Item:
    keys = sorted((stat.key for stat in found), key=lambda key: not key.endswith(f"/{layout.MANIFEST}"))
    return Item(kind, name, keys, sum(stat.size for stat in found), why, store)
