"""The first journey: each step looks whether it is done already, so that one that was interrupted goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skylift.artifacts import models, runs
from skylift.artifacts.records import RunSummary
from skylift.client import projects, training
from skylift.errors import NotFoundError
from skylift.stack.project import Project

if TYPE_CHECKING:
    from skylift.client.stack import Stack

RECIPE = "mnist"


def prepare(folder: Path | None, stack: str) -> list[Path]:
    """The project and the stack's file, if they are not there yet; the files written."""
    start = folder or Path.cwd()
    try:
        if stack in Project.find(start).stacks():
            return []
    except NotFoundError:
        pass
    return projects.init(start, projects.Wish(name=stack))


def trained(stack: Stack) -> tuple[training.Run, bool]:
    """The journey's run, and whether it has published its model already: the last one, followed or resumed, else a new one.

    A run whose version was removed since counts for nothing.
    """
    last = _last(stack)
    if (
        last is None
        or last.state in ("failed", "cancelled")
        or (last.state == "succeeded" and not _is_kept(stack, last))
    ):
        return training.start(stack, training.Request(recipe=RECIPE)), False
    run = training.Run(stack, last.id)
    if last.state == "succeeded":
        return run, True
    if training.is_dead(run.view()):
        return training.resume(stack, last.id), False
    return run, False


def _is_kept(stack: Stack, run: RunSummary) -> bool:
    published = run.published
    return published is not None and any(
        version.digest == published.digest for version in models.list_versions(stack.keep, published.name)
    )


def _last(stack: Stack) -> RunSummary | None:
    mine = (run for run in runs.list_runs(stack.keep, stack.work, limit=100) if run.recipe == RECIPE)
    return next((run for run in mine if run.stack == stack.name), None)
