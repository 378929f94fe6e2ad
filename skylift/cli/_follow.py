"""Following a run on the terminal, for `train` and `quickstart`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from skylift.artifacts.records import RunResult
    from skylift.cli._errors import Interrupted
    from skylift.client.training import Run


def started(run: Run, *, as_json: bool) -> None:
    """Say that a run is on its way, and what to type next."""
    from skylift.cli import _render

    if as_json:
        _render.print_json({"run": run.id})
        return
    click.echo(f"run {run.id} is on its way")
    _render.next_steps(
        (f"skylift logs -f {run.id}", "follows its output"),
        (f"skylift runs {run.id}", "shows where it stands"),
        (f"skylift cancel {run.id}", "stops it"),
    )


def watch(run: Run, *, quiet: bool) -> RunResult:
    """Draw a run until it ends.

    Raises:
        SkyliftError: how it ended, if not well.
    """
    from skylift.cli._progress import TrainingBar
    from skylift.client import training

    try:
        with TrainingBar(quiet=quiet) as bar:
            for update in run.follow():
                bar.show(update)
    except KeyboardInterrupt:
        raise left_alone(run) from None
    return training.ended(run)


def left_alone(run: Run) -> Interrupted:
    """An interrupt ends only our watching."""
    from skylift.cli._errors import Interrupted

    return Interrupted(
        f"run {run.id} goes on without this terminal",
        f"`skylift logs -f {run.id}` follows it, `skylift cancel {run.id}` stops it",
        run=run.id,
    )


def to_the_end(run: Run, *, as_json: bool) -> None:
    """Follow a run and print its result and what to type next."""
    from skylift.cli import _render

    if not as_json:
        click.secho(f"run {run.id}", bold=True, err=True)
    result = watch(run, quiet=as_json)
    if as_json:
        _render.print_json(result)
        return
    print_result(result)
    if result.model is not None:
        _render.next_steps(
            (f"skylift deploy {result.model.name}:{result.model.version}", "lets the endpoint answer with it"),
            (f"skylift download {run.id}", "fetches its report, with curves and pictures"),
            ("skylift runs", "lists all runs"),
        )


def print_result(result: Any) -> None:
    from skylift.cli import _render

    model = result.model
    _render.fields(
        [
            ("run", result.id),
            ("state", result.state),
            ("model", f"{model.name}:{model.version}  ({model.digest[:12]})" if model else None),
            ("test", _render.metrics(result.metrics)),
            ("steps", f"{result.steps} in {result.epochs} epochs" if result.steps else None),
            ("took", _render.duration((result.ended - result.started).total_seconds())),
        ]
    )
