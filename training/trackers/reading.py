"""A run as trackers take it: what was asked, its curves, how it ended. Read from the two buckets, so any run can be sent at any time."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from skylift.artifacts import layout, runs
from skylift.artifacts.chunks import ChunkReader
from skylift.artifacts.records import Event, RunResult, RunSpec
from skylift.errors import MachineError
from skylift.store import ObjectNotFoundError, Store

SIDES = {"step": "step/", "epoch": "", "test": "test/"}
"""What stands before a metric's name: a value in mid-epoch, at an epoch's end (`val_` marks validation), on the test split."""


@dataclass(frozen=True)
class Point:
    """Metrics of one step."""

    step: int
    at: datetime
    metrics: dict[str, float]


@dataclass(frozen=True)
class Tracked:
    """One run. `asked` is hyperparameters (of a finished run with defaults); `tags` holds no values that are missing."""

    id: str
    state: str
    spec: RunSpec
    result: RunResult | None
    asked: dict[str, Any]
    tags: dict[str, str]
    points: list[Point]
    report: bytes | None

    @property
    def project(self) -> str:
        """Where it goes unless told otherwise: beside the other runs of its model."""
        return self.spec.model


def track(keep: Store, work: Store, run_id: str) -> Tracked:
    """A run as it stands now.

    Raises:
        NotFoundError: there is no such run.
    """
    view = runs.view_run(keep, work, run_id)
    spec, result = view.spec, view.result
    return Tracked(
        id=run_id,
        state=view.state,
        spec=spec,
        result=result,
        asked=result.hyperparameters if result and result.hyperparameters else spec.hyperparameters,
        tags=_tags(spec, result),
        points=_points(work, run_id),
        report=_report(keep, run_id),
    )


def needed(name: str) -> Any:
    """A tracker's package, imported now and never before.

    Raises:
        MachineError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != name.partition(".")[0]:
            raise
        raise MachineError(
            f"{name.partition('.')[0]} is not installed", hint="pip install 'skylift[trackers]'"
        ) from None


def _tags(spec: RunSpec, result: RunResult | None) -> dict[str, str]:
    model = result.model if result else None
    found = {
        "run": spec.id,
        "recipe": spec.recipe,
        "code": spec.code,
        "model": f"{model.name}:{model.version}" if model else spec.model,
        "model_digest": model.digest if model else None,
        "dataset": spec.dataset,
        "seed": spec.seed,
        "commit": spec.commit,
        "stack": spec.stack,
        "target": spec.target,
        "workers": spec.workers,
        "resumed_from": spec.resumed_from,
    }
    return {f"skylift.{name}": str(value) for name, value in found.items() if value is not None}


def _points(work: Store, run_id: str) -> list[Point]:
    """In order of step; where a resumed attempt took a step again, only what it measured last."""
    whole = ChunkReader(work, layout.events(run_id)).read().rpartition(b"\n")[0]
    last: dict[tuple[str, int, int], Event] = {}
    for event in (msgspec.json.decode(line, type=Event) for line in whole.splitlines()):
        if event.kind in SIDES and event.metrics:
            last[(event.kind, event.epoch if event.kind == "epoch" else 0, event.step)] = event
    points = [
        Point(event.step, event.at, {SIDES[event.kind] + name: value for name, value in event.metrics.items()})
        for event in last.values()
    ]
    return sorted(points, key=lambda point: (point.step, point.at))


def _report(keep: Store, run_id: str) -> bytes | None:
    try:
        return keep.get(layout.run_report(run_id)).data
    except ObjectNotFoundError:
        return None
