"""Adding up what several processes counted, without a counter that ever goes back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from serving.watch.histograms import add_up
from serving.watch.snapshots import OTHER, Gauges, Loads, Process, Snapshot, VersionGauge


class _Counted(Protocol):
    model: str
    version: int
    last: float

    @property
    def key(self) -> Any: ...

    def add(self, other: Any) -> None: ...


class _Keyed(Protocol):
    @property
    def key(self) -> Any: ...

    def add(self, other: Any) -> None: ...


C = TypeVar("C", bound=_Counted)
K = TypeVar("K", bound=_Keyed)
S = TypeVar("S")


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The sum; the arguments stay as they are."""
    parts = list(snapshots)
    whole = Snapshot(processes=sum(part.processes for part in parts))
    for part in parts:
        add_up(whole.queuing, part.queuing)
        for name, values in part.counters.items():
            into = whole.counters.setdefault(name, {})
            for label, more in values.items():
                into[label] = into.get(label, 0) + more
        whole.info |= part.info
    whole.cells = summed(one for part in parts for one in part.cells)
    whole.batches = summed(one for part in parts for one in part.batches)
    whole.loads = summed(one for part in parts for one in part.loads)
    whole.drift = summed(one for part in parts for one in part.drift)
    whole.gauges = _gauges([part.gauges for part in parts])
    whole.process = _processes([part.process for part in parts])
    return whole


def summed(parts: Iterable[K]) -> list[K]:
    """One for each key; the arguments stay as they are."""
    whole: dict[Any, K] = {}
    for part in parts:
        found = whole.get(part.key)
        if found is None:
            whole[part.key] = copy(part)
        else:
            found.add(part)
    return list(whole.values())


def copy(part: S) -> S:
    """The same struct, with lists and dicts of its own."""
    made: S = msgspec.structs.replace(part)  # type: ignore[type-var]  # every one of them is a msgspec.Struct
    for name in part.__struct_fields__:  # type: ignore[attr-defined]
        value = getattr(made, name)
        if isinstance(value, list | dict):
            setattr(made, name, value.copy())
    return made


def _gauges(parts: Sequence[Gauges]) -> Gauges:
    versions: list[VersionGauge] = [one for part in parts for one in part.versions]
    return Gauges(
        versions=versions,
        connections=sum(part.connections for part in parts),
        in_flight=sum(part.in_flight for part in parts),
        is_ready=any(part.is_ready for part in parts),
    )


def _processes(parts: Sequence[Process]) -> Process:
    return Process(
        cpu_seconds=sum(part.cpu_seconds for part in parts),
        resident_bytes=sum(part.resident_bytes for part in parts),
        virtual_bytes=sum(part.virtual_bytes for part in parts),
        open_fds=sum(part.open_fds for part in parts),
        threads=sum(part.threads for part in parts),
        started=min((part.started for part in parts if part.started), default=0.0),
    )


def fold(parts: Iterable[C], versions: int, models: int, spared: frozenset[tuple[str, int]] = frozenset()) -> list[C]:
    """Sum up the versions of a model beyond so many under OTHER, and the models beyond so many under no name: those go that were
    not asked for the longest time. What is folded never comes out again, so a sum over all versions only grows.

    Args:
        spared: (model, version) that stay whatever there is.
    """
    there = list(parts)
    last: dict[tuple[str, int], float] = {}
    for part in there:
        place = (part.model, part.version)
        last[place] = max(last.get(place, 0.0), part.last)
    gone = beyond(last, versions, models, spared)
    if not gone:
        return there
    return summed([moved(part, gone) for part in there])


def moved(part: C, gone: Mapping[tuple[str, int], tuple[str, int]]) -> C:
    """The same under the name and number that `gone` has for it, if it has one."""
    place = gone.get((part.model, part.version))
    if place is None:
        return part
    made = copy(part)
    made.model, made.version = place
    if isinstance(made, Loads):
        made.path = ""
    return made


def beyond(
    last: Mapping[tuple[str, int], float], versions: int, models: int, spared: frozenset[tuple[str, int]]
) -> dict[tuple[str, int], tuple[str, int]]:
    """Where each goes that is too many."""
    by_model: dict[str, list[int]] = {}
    used: dict[str, float] = {}
    for (model, version), moment in sorted(last.items(), key=lambda item: -item[1]):
        numbers = by_model.setdefault(model, [])
        used.setdefault(model, moment)
        if version != OTHER:
            numbers.append(version)
    spared_models = {model for model, _ in spared} | {""}
    too_many = set(list(used)[models:]) - spared_models
    gone: dict[tuple[str, int], tuple[str, int]] = {}
    for model, numbers in by_model.items():
        if model in too_many:
            gone |= {(model, number): ("", OTHER) for number in [*numbers, OTHER]}
        else:
            late = [number for number in numbers[versions:] if (model, number) not in spared]
            gone |= {(model, number): (model, OTHER) for number in late}
    return gone


class Ledger:
    """The supervisor's book: the last snapshot of every worker that lives, and the sum of those that are gone.

    Args:
        versions: kept apart per model of what is gone, see `fold`; `models` likewise.
    """

    def __init__(self, versions: int = 4, models: int = 1000) -> None:
        self._versions = versions
        self._models = models
        self._alive: dict[object, Snapshot] = {}
        self._gone: Snapshot | None = None

    def update(self, worker: object, snapshot: Snapshot) -> None:
        """`worker` names one process: another one in its place has another name."""
        self._alive[worker] = snapshot

    def ended(self, worker: object) -> None:
        """What it had counted stays; what it was, as gauges say it, goes."""
        last = self._alive.pop(worker, None)
        if last is None:
            return
        counted = msgspec.structs.replace(
            last, processes=0, drift=[], gauges=Gauges(), process=Process(cpu_seconds=last.process.cpu_seconds)
        )
        gone = merge([self._gone, counted] if self._gone is not None else [counted])
        in_use = frozenset((cell.model, cell.version) for alive in self._alive.values() for cell in alive.cells)
        gone.cells = fold(gone.cells, self._versions, self._models, in_use)
        gone.batches = fold(gone.batches, self._versions, self._models, in_use)
        gone.loads = fold(gone.loads, self._versions, self._models, in_use)
        self._gone = gone

    def total(self) -> Snapshot:
        return merge([*([self._gone] if self._gone is not None else []), *self._alive.values()])
