"""The report of a run: one HTML file that needs nothing else, in light and dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from skylift.artifacts.records import Format, PublishedModel, RunSpec
from training.contract import Array, Data, Task
from training.loop.progress import EpochRow
from training.report import charts, judging, measures, pictures
from training.report.pages import page

SAMPLES = 20
MISTAKES = 20
CONFUSION_LABELS = 40
"""Most labels whose confusion matrix still can be read."""


@dataclass(frozen=True)
class Facts:
    """All that the report tells. `outputs` are the model's on the test split, row by row; `seconds` by stage."""

    spec: RunSpec
    attempt: int
    hyperparameters: dict[str, Any]
    task: Task
    data: Data
    history: list[EpochRow]
    best_epoch: int | None
    metrics: dict[str, float]
    outputs: Array
    published: PublishedModel
    formats: dict[Any, Format]
    seconds: dict[str, float]


@dataclass(frozen=True)
class Shown:
    """A sample with its picture (`data:` URL) or its numbers."""

    sample: judging.Sample
    picture: str
    numbers: str


def render(facts: Facts) -> str:
    """The whole page."""
    return page(
        "report.html.j2",
        facts=facts,
        spec=facts.spec,
        task=facts.task,
        curves=_curves(facts),
        splits=_splits(facts),
        **_judged(facts),
    )


def _curves(facts: Facts) -> list[tuple[str, Markup]]:
    """A chart of the loss and one of every metric, training beside validation."""
    made = []
    for name in ("loss", *facts.task.metrics) if facts.history else ():
        series = [
            charts.Series("training", [row.metrics[name] for row in facts.history]),
            charts.Series("validation", [row.metrics[f"val_{name}"] for row in facts.history]),
        ]
        title = name.replace("_", " ")
        made.append((title, charts.lines(title, series, marked=facts.best_epoch)))
    return made


def _splits(facts: Facts) -> list[tuple[str, int]]:
    return [(name, getattr(facts.data, name).rows) for name in ("train", "validation", "test")]


def _judged(facts: Facts) -> dict[str, Any]:
    test, task, outputs = facts.data.test, facts.task, facts.outputs
    if task.kind == "regression":
        truth, guess = test.y.reshape(len(test.y), -1), outputs.reshape(len(test.y), -1)
        unit = f" [{task.unit}]" if task.unit else ""
        plot = charts.scatter(
            "predicted against true", truth[:, 0].tolist(), guess[:, 0].tolist(), (f"true{unit}", f"predicted{unit}")
        )
        errors = judging.largest_errors(test.y, outputs, task, MISTAKES)
        shown = _shown(errors, facts)
        return {"scatter": plot, "confusion": None, "scores": [], "mistakes": shown, "typical": [], "reliability": None}
    counts = judging.confusion(test.y, judging.classes_of(outputs, task), len(task.labels))
    return {
        "scatter": None,
        "confusion": _heat(counts) if len(task.labels) <= CONFUSION_LABELS else None,
        "scores": judging.scores(counts, task.labels),
        "mistakes": _shown(judging.worst_mistakes(test.y, outputs, task, MISTAKES), facts),
        "typical": _shown(judging.typical(test.y, outputs, task, SAMPLES), facts),
        "reliability": _reliability(facts),
    }


def _reliability(facts: Facts) -> Markup:
    bins = measures.calibration(facts.data.test.y, facts.outputs, facts.task)
    sure, right = [each.sureness for each in bins], [each.right for each in bins]
    return charts.scatter("sure against right", sure, right, ("how sure", "share that was right"))


def _heat(counts: Array) -> list[list[tuple[int, int]]]:
    """Every count with its share of the row's rows [%], which colours the cell."""
    whole = counts.sum(axis=1, keepdims=True).clip(min=1)
    shares = (100 * counts / whole).round().astype(int)
    return [list(zip(row.tolist(), share.tolist(), strict=True)) for row, share in zip(counts, shares, strict=True)]


def _shown(samples: list[judging.Sample], facts: Facts) -> list[Shown]:
    test, task = facts.data.test, facts.task
    if pictures.is_picture(task):
        return [Shown(each, pictures.picture(test, task, each.row), "") for each in samples]
    return [Shown(each, "", pictures.numbers(test, task, each.row)) for each in samples]
