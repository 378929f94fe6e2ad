from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from skylift.cli._options import common, complete_models, confirm, open_stack, stack_option, yes_option

if TYPE_CHECKING:
    from skylift.artifacts.optimized import Form, Optimized

METHODS = ["int8", "float16", "weights-int8", "prune", "channels", "qat"]
_BAD = {"refused": "refused", "unjudged": "not judged", "original": "", "accepted": "ok"}


@click.command("optimize", short_help="Make a model smaller and faster, and measure what it costs.")
@click.argument("model", metavar="MODEL[:VERSION]", shell_complete=complete_models)
@stack_option
@click.option(
    "--method", "methods", type=click.Choice(METHODS), multiple=True, help="One way to try. Default: all that fit."
)
@click.option(
    "--max-loss",
    type=click.FloatRange(0),
    default=0.01,
    show_default=True,
    help="What may be lost: points of accuracy, or the growth of an error relative to the original's.",
)
@click.option(
    "--sparsity",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of weights (prune, default 0.8) or channels (channels, default 0.5) that goes.",
)
@click.option("--epochs", type=click.IntRange(1), default=2, show_default=True, help="Of fine-tuning, where it learns.")
@click.option("--seed", default=0, show_default=True, help="Decides the order and the rows that it calibrates with.")
@click.option(
    "--publish",
    type=click.Choice([*METHODS, "best", "none"]),
    default="none",
    show_default=True,
    help="Publish that method's forms as the model's next version.",
)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the table as a page.")
@yes_option
@common
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    stack_flag: str | None,
    methods: tuple[str, ...],
    max_loss: float,
    sparsity: float | None,
    epochs: int,
    seed: int,
    publish: str,
    html: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Try ways to make MODEL smaller and faster on this machine, and say which to choose.

    Each form is run by its own runtime: file size, the task's first metric on the test split, and the time of a call at batch 1 and 32
    on one thread. What loses more than --max-loss is refused. Exit code 9: what was to be published was refused.
    """
    from skylift.cli import _progress, _render
    from skylift.client import optimizing

    stack = open_stack(ctx, stack_flag)
    if publish != "none":
        confirm(
            f"Publish {publish} as the next version of {model.partition(':')[0]} if it loses little enough?", yes=yes
        )
    how = optimizing.Optimizing(methods, max_loss, sparsity, epochs, seed, publish, html)
    with _progress.spinner(f"opening {model}", quiet=as_json) as says:
        found = optimizing.optimize(
            stack, model, how, lambda done, total, text: says(f"{min(done + 1, total)} of {total}  {text}")
        )
    if as_json and not found.failure:
        _render.print_json(found)
    elif not as_json:
        _show(found, html)
    _raise_failure(found)


def _show(found: Optimized, html: Path | None) -> None:
    from skylift.cli import _render

    columns = ["method", "runtime", ">size", ">gzip", f">{found.metric}", ">loss", ">batch 1", ">batch 32", "", "~done"]
    _render.table(columns, [_line(row) for row in found.rows])
    for each in found.skipped:
        click.echo(f"no {each.method}: {each.why}" + (f" ({each.hint})" if each.hint else ""))
    for note in found.notes:
        click.echo(note)
    click.echo(f"\n{found.choice.text}")
    click.secho(f"{found.test_rows} rows of the test split; ms a call, medians; {found.machine}", dim=True)
    if html is not None:
        click.echo(f"written: {html}")
    if found.published is not None:
        published = f"{found.published.name}:{found.published.version}"
        click.echo(f"{published} is published: {found.published_method}")
        _render.next_steps((f"skylift deploy {published}", "lets the endpoint answer with it"))
    elif found.choice.method is not None and not found.failure:
        again = f"skylift optimize {found.model} --method {found.choice.method} --publish {found.choice.method}"
        _render.next_steps((again, "publishes it as the next version"))


def _line(row: Form) -> tuple[object, ...]:
    from skylift.cli import _render

    done = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in row.details.items())
    return (
        row.method,
        row.runtime,
        _render.size(row.bytes),
        _render.size(row.gzip_bytes),
        "" if row.value is None else f"{row.value:.4g}",
        "" if row.loss is None else f"{row.loss:+.4f}",
        f"{row.ms_batch_1:.3f} ms",
        f"{row.ms_batch_32:.3f} ms",
        _BAD[row.verdict],
        done,
    )


def _raise_failure(found: Optimized) -> None:
    """Raises RunFailedError where what was to be published was refused."""
    if not found.failure:
        return
    import msgspec

    from skylift.errors import RunFailedError

    raise RunFailedError(
        found.failure,
        hint="allow a larger --max-loss, or give more --epochs",
        details={"result": msgspec.to_builtins(found)},
    )
