"""The page of a study: what was found, how the search went, and how each parameter bears on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skylift.artifacts import studies
from skylift.artifacts.studies import Study, Trial
from training.report.pages import page
from training.tune import pictures

HERE = Path(__file__).parent


def render(study: Study, ended: Sequence[Trial], importance: dict[str, float]) -> str:
    """One HTML file that needs nothing else."""
    best = studies.best_of(study, list(ended))
    worth = [trial for trial in ended if trial.value is not None]
    counts = {state: sum(trial.state == state for trial in ended) for state in ("complete", "pruned", "failed")}
    return page(
        "study.html.j2",
        HERE,
        study=study,
        best=best,
        counts=counts,
        trials=ended,
        names=[each.name for each in study.space],
        space=[str(each) for each in study.space],
        importance=sorted(importance.items(), key=lambda each: -each[1]),
        history=pictures.history(study, worth) if worth else None,
        curves=pictures.curves(study, worth, best) if worth else None,
        parallel=pictures.parallel(study, worth, best) if worth and len(study.space) > 1 else None,
        scatters=[(each.name, pictures.scatter(study, each, worth, best)) for each in study.space] if worth else [],
        text=text,
        minutes=round(sum(trial.seconds for trial in ended) / 60, 1),
    )


def text(value: Any) -> str:
    """A value for people: four digits of a number."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
