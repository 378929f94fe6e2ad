"""What a search for hyperparameters asks: its space, its metric, its runs' common part; and what is told of it at the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from skylift.artifacts import layout, studies
from skylift.artifacts.studies import Study, Trial
from skylift.client import search_space, training
from skylift.client.training import Request
from skylift.errors import ConflictError, InputError, nearest
from skylift.launch import recipes
from skylift.launch.asking import ask_training

if TYPE_CHECKING:
    from skylift.client.stack import Stack


@dataclass(frozen=True)
class Search:
    """What a user asks of `tune`. `space` as it was written; empty: drawn from the recipe."""

    request: Request
    space: tuple[str, ...] = ()
    trials: int = 20
    parallel: int = 2
    metric: str | None = None
    name: str | None = None


def plan(stack: Stack, search: Search, **sending: Any) -> Study:
    """What a search means, its code and data sent; the study of that name as it is, where there is one. Begins nothing.

    Raises:
        InputError: mistakes in the space, the metric, or what training.start() refuses.
        ConflictError: a study of that name asks something else.
    """
    recipe = training.understand(search.request).recipe
    space, metric = _space(recipe, search), _metric(recipe, search.metric)
    base, _ = training.prepare(stack, search.request, **sending)
    fields = {each.name: each.default for each in recipe.hyperparameters} | base.hyperparameters
    name = search.name or f"{base.model[:40].rstrip('._-')}-{base.id}"
    study = Study(
        id=layout.check_name("study", name),
        created=base.created,
        by=base.by,
        recipe=search.request.recipe,
        trials=search.trials,
        parallel=search.parallel,
        metric=metric,
        direction="maximize",
        epochs=int(fields["epochs"]),
        space=space,
        defaults={each.name: fields[each.name] for each in space},
        base=msgspec.structs.replace(base, study=name, publishes=False),
    )
    if not studies.exists(stack.keep, study.id):
        return study
    return _same(studies.read(stack.keep, study.id), study)


def _space(recipe: recipes.Recipe, search: Search) -> list[studies.Parameter]:
    fixed = recipes.parse(recipe, {name: str(value) for name, value in search.request.hyperparameters.items()})
    if search.space:
        return search_space.parse(recipe, search.space, fixed)
    return search_space.derive(recipe, fixed)


def _metric(recipe: recipes.Recipe, asked: str | None) -> str:
    known: list[str] = [*recipe.task.get("metrics", []), "loss"]
    metric = (asked or known[0]).removeprefix("val_")
    if metric in known:
        return metric
    near = nearest(metric, known)
    raise InputError(
        f"recipe {recipe.name!r} is not measured by {metric!r}" + (f"; did you mean {near!r}?" if near else ""),
        hint=f"--metric takes {', '.join(known)}: what is measured on the validation split after each epoch",
    )


def _same(known: Study, asked: Study) -> Study:
    """The study that goes on, with as many trials as asked now."""
    differs = [name for name in ("space", "metric") if getattr(known, name) != getattr(asked, name)]
    of_runs = ("recipe", "code", "dataset", "hyperparameters", "seed", "model")
    differs += [name for name in of_runs if getattr(known.base, name) != getattr(asked.base, name)]
    if differs:
        raise ConflictError(
            f"there is a study {known.id!r} already, and it asks for another {', '.join(differs)}",
            hint=f"take another --name, or `skylift tune --resume {known.id}` to go on with what it asks",
        )
    return msgspec.structs.replace(known, trials=asked.trials, parallel=asked.parallel)


def reopen(stack: Stack, name: str, trials: int | None = None, parallel: int | None = None) -> Study:
    """A study to go on with; with more trials than before where they are named.

    Raises:
        NotFoundError: there is none of that name.
    """
    known = studies.read(stack.keep, name)
    return msgspec.structs.replace(known, trials=trials or known.trials, parallel=parallel or known.parallel)


def judge(stack: Stack, study: Study, html: Path | None = None) -> dict[str, float]:
    """How much of what trials are worth each parameter explains, in all 1; and the study's page, where a file is named."""
    arguments = ["tune", "judge", study.id, "--keep", stack.keep.url]
    found: dict[str, Any] = ask_training([*arguments, "--html", str(html)] if html is not None else arguments)
    importance: dict[str, float] = found["importance"]
    return importance


def command_for(study: Study, trial: Trial) -> str:
    """The command that trains with a trial's values."""
    settings = study.base.hyperparameters | trial.values
    parts = ["skylift train", study.recipe, *(f"--set {name}={value}" for name, value in settings.items())]
    if study.base.dataset is not None:
        parts.append(f"--data {study.base.dataset}")
    if study.base.seed:
        parts.append(f"--seed {study.base.seed}")
    return " ".join(parts)
