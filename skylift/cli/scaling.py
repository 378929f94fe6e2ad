from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from skylift.cli._options import common, complete_recipes, open_stack, stack_option
from skylift.cli.data import complete_datasets
from skylift.cli.train import _pairs


@click.command("scaling", short_help="Measure how training speeds up with workers.")
@click.argument("recipe", metavar="RECIPE", shell_complete=complete_recipes)
@stack_option
@click.option(
    "--workers", metavar="1,2,4", default="1,2", show_default=True, help="How many to measure, on this machine."
)
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), default=5.0, show_default=True, help="Of each measurement."
)
@click.option("--steps", type=click.IntRange(0), default=0, help="Of each measurement, instead of --seconds.")
@click.option(
    "--gigabits",
    type=click.FloatRange(0),
    default=0.0,
    help="Predict for a network of that bandwidth [Gbit/s]. Default: what processes of this machine reach.",
)
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, callback=_pairs, help="A hyperparameter.")
@click.option(
    "--data", metavar="NAME|FOLDER", shell_complete=complete_datasets, help="A dataset, or a folder that load() gets."
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with the pictures; it needs nothing else.",
)
@common
@click.pass_context
def command(
    ctx: click.Context,
    recipe: str,
    stack_flag: str | None,
    workers: str,
    seconds: float,
    steps: int,
    gigabits: float,
    settings: dict[str, str],
    data: str | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Learn RECIPE for moments with 1, 2, … workers on this machine: rows a second, efficiency, and a prediction for more.

    Workers of one machine share its cores; the prediction says what a machine for each would give. Nothing is published.
    """
    from skylift.cli import _progress
    from skylift.client import scaling, training

    named = data is not None and training.named_dataset(data) is not None
    stack = open_stack(ctx, stack_flag) if named else None
    asked = training.Request(recipe=recipe, hyperparameters=dict(settings), data=data)
    how = scaling.Measuring(workers=workers, seconds=seconds, steps=steps, gigabits=gigabits, html=html)
    with _progress.spinner("starting", quiet=as_json) as says:
        found = scaling.measure(stack, asked, how, lambda done, total, text: says(text))
    _show(found, html, as_json=as_json)


def _show(found: dict[str, Any], html: Path | None, *, as_json: bool) -> None:
    from skylift.cli import _render

    if as_json:
        _render.print_json(found)
        return
    columns = [">workers", "batch", ">rows/s", ">efficiency", ">predicted here", ">with a machine each", ">efficiency "]
    for kind, title in (("same batch", "The same batch of all together"), ("same share", "The same batch for each")):
        _render.heading(title)
        _render.table(columns, [_row(each) for each in found["points"] if each["kind"] == kind], empty="nothing")
    click.echo(
        f"one worker: {found['step_s'] * 1000:.2f} ms a step, {found['cores_of_one']:.1f} of {found['cores']} cores"
    )
    if found["bandwidth"] is not None:
        click.echo(
            f"told each other in a step: {found['gradient_bytes']:,} bytes, at {found['bandwidth'] * 8 / 1e9:.2f} Gbit/s and "
            f"{found['hop_s'] * 1e6:.0f} µs a hop ({found['wire']})"
        )
    for note in found["notes"]:
        click.echo(note)
    if html is None:
        _render.next_steps(
            (f"skylift scaling {found['recipe']} --html scaling.html", "draws it and states the formula")
        )
    else:
        click.echo(f"\nwritten: {html}")


def _row(each: dict[str, Any]) -> tuple[object, ...]:
    return (
        each["workers"],
        each["batch"],
        _whole(each["rows_per_s"]),
        _percent(each["efficiency"]),
        _whole(each["here"]),
        _whole(each["apart"]),
        _percent(each["apart_efficiency"]),
    )


def _whole(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{100 * value:.0f} %"
