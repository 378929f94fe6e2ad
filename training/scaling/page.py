"""The report as a page: measured and predicted speed by number of workers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from training.report import charts
from training.report.pages import page
from training.scaling.predicting import FORMULA, SOURCE
from training.scaling.records import KINDS, Point, Report

Rows = tuple[Sequence[float | None], ...]

NAMES = ("measured", "predicted, sharing this machine", "predicted, a machine each")
TITLES = {
    "same batch": "the same batch of all together",
    "same share": "the same batch for each worker",
}


def render(report: Report) -> str:
    """One HTML file that needs nothing else."""
    parts = [(TITLES[kind], [each for each in report.points if each.kind == kind]) for kind in KINDS]
    shown = [(title, points, _speeds(points), _efficiency(points)) for title, points in parts]
    return page(
        "scaling.html.j2",
        Path(__file__).parent,
        report=report,
        parts=shown,
        names=NAMES,
        formula=FORMULA,
        source=SOURCE,
    )


def _speeds(points: Sequence[Point]) -> Markup:
    across = [each.workers for each in points]
    rows: Rows = ([each.rows_per_s for each in points], [each.here for each in points], [each.apart for each in points])
    series = [charts.Series(name, _numbers(values)) for name, values in zip(NAMES, rows, strict=True)]
    return charts.lines("rows a second", series, across=across, label="workers")


def _efficiency(points: Sequence[Point]) -> Markup:
    single = points[0].rows_per_s or math.nan
    here = [each.here / (each.workers * single) if each.here is not None else None for each in points]
    rows: Rows = ([each.efficiency for each in points], here, [each.apart_efficiency for each in points])
    series = [charts.Series(name, _numbers(values)) for name, values in zip(NAMES, rows, strict=True)]
    return charts.lines("efficiency", series, across=[each.workers for each in points], label="workers")


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]
