"""Several runs beside each other: what was asked differently, how each ended, and their curves in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from markupsafe import Markup

from skylift.artifacts import layout, runs
from skylift.artifacts.chunks import ChunkReader
from skylift.artifacts.records import Event
from skylift.errors import InputError
from skylift.store import Store
from training.report import charts
from training.report.pages import page

MOST = 6
"""Runs that a picture has colours for."""


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One of the runs.

    Args:
        metrics: on the test split, by name; empty for a run that has not succeeded.
        curves: by metric (`val_` before the name for the validation split), one value an epoch.
    """

    id: str
    state: str
    asked: dict[str, Any]
    metrics: dict[str, float]
    curves: dict[str, list[float]]


def compare(keep: Store, work: Store, ids: Sequence[str]) -> list[Compared]:
    """The runs of these ids.

    Raises:
        NotFoundError: there is no such run.
        InputError: fewer than two, or more than can be told apart.
    """
    if not 2 <= len(ids) <= MOST:
        raise InputError(f"{len(ids)} runs cannot be compared", hint=f"name two to {MOST} of them")
    return [_compared(keep, work, each) for each in ids]


def differences(found: Sequence[Compared]) -> list[tuple[str, list[str]]]:
    """Rows of a table: what was asked differently, then the state and every metric."""
    asked = list(dict.fromkeys(name for run in found for name in run.asked))
    rows = [(name, [_text(run.asked.get(name)) for run in found]) for name in asked]
    rows = [(name, values) for name, values in rows if len(set(values)) > 1]
    rows.append(("state", [run.state for run in found]))
    metrics = sorted({name for run in found for name in run.metrics})
    return rows + [(_measured(name), [_text(run.metrics.get(name)) for run in found]) for name in metrics]


def render(found: Sequence[Compared]) -> str:
    """One HTML file that needs nothing else."""
    return page("compare.html.j2", runs=found, rows=differences(found), curves=_curves(found))


def _curves(found: Sequence[Compared]) -> list[tuple[str, Markup]]:
    names = sorted({name for run in found for name in run.curves}, key=lambda name: (name.removeprefix("val_"), name))
    shown = [(name, [charts.Series(run.id, run.curves.get(name, [])) for run in found]) for name in names]
    return [(name.replace("_", " "), charts.lines(name, series)) for name, series in shown]


def _compared(keep: Store, work: Store, run_id: str) -> Compared:
    view = runs.view_run(keep, work, run_id)
    spec, result = view.spec, view.result
    # Of a finished run the result holds the defaults, too.
    hyperparameters = result.hyperparameters if result and result.hyperparameters else spec.hyperparameters
    asked = {"recipe": spec.recipe, "code": spec.code, "data": spec.dataset, "seed": spec.seed, "workers": spec.workers}
    lines = ChunkReader(work, layout.events(run_id)).read().splitlines()
    events = [msgspec.json.decode(line, type=Event) for line in lines]
    epochs = {
        event.epoch: event.metrics for event in events if event.kind == "epoch"
    }  # of a resumed epoch the last counts
    names = list(dict.fromkeys(name for metrics in epochs.values() for name in metrics))
    return Compared(
        id=run_id,
        state=view.state,
        asked=asked | hyperparameters,
        metrics=result.metrics if result else {},
        curves={name: [epochs[epoch].get(name, float("nan")) for epoch in sorted(epochs)] for name in names},
    )


def _measured(name: str) -> str:
    """A metric with where it was measured: of a trial on the validation split."""
    where = "validation" if name.startswith("val_") else "test"
    return f"{where} {name.removeprefix('val_').replace('_', ' ')}"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
