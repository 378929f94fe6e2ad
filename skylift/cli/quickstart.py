from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from skylift.cli._options import common, open_stack

if TYPE_CHECKING:
    from skylift.artifacts.records import ModelRef
    from skylift.client import Prediction, Run, Stack

SHADES = " ░▒▓█"


@click.command("quickstart", short_help="From nothing to a predicted digit, on this machine.")
@click.option("-s", "--stack", "name", default="local", show_default=True, help="The stack to make or to go on with.")
@common
@click.pass_context
def command(ctx: click.Context, name: str, as_json: bool) -> None:
    """Train on real handwritten digits, serve the model, ask it for one: the whole path, on this machine, without an account.

    Interrupted at any step and run again, it goes on. What it makes is an ordinary stack: every other command works with it.
    """
    from skylift.cli import _render
    from skylift.cli._group import App
    from skylift.client import journey

    begun = time.monotonic()
    app = ctx.ensure_object(App)
    _title(1, "A project and a stack's settings", quiet=as_json)
    written = journey.prepare(app.project, name)
    _said("\n".join(f"wrote {path}" for path in written) or f"stack {name} is there already", quiet=as_json)
    stack = open_stack(ctx, name)
    _up(stack, quiet=as_json)
    run, model = _train(stack, quiet=as_json)
    _deploy(stack, model, quiet=as_json)
    answer, row, truth = _predict(stack, quiet=as_json)
    seconds = time.monotonic() - begun
    report = _report(run)
    url = stack.endpoint()[1].url
    if as_json:
        _render.print_json(
            {
                "prediction": answer.to_dict(),
                "truth": truth,
                "run": run.id,
                "report": report,
                "endpoint": url,
                "seconds": round(seconds, 1),
            }
        )
        return
    _draw(row, answer, truth)
    _render.fields([("report", report), ("endpoint", url), ("took", f"{seconds:.0f} s")])
    _render.next_steps(
        ("skylift predict --sample 2", "asks for another digit"),
        ("skylift predict DIGIT.png", "asks for one of yours"),
        ("skylift status", "shows what runs"),
        (f"skylift down {name}", "stops it; models and runs stay"),
    )


def _title(number: int, text: str, *, quiet: bool) -> None:
    if not quiet:
        click.secho(f"[{number}/5] {text}", bold=True, err=True)


def _said(text: str, *, quiet: bool) -> None:
    if not quiet:
        click.echo("\n".join(f"      {line}" for line in text.splitlines()), err=True)


def _up(stack: Stack, *, quiet: bool) -> None:
    from skylift.cli import _engine

    _title(2, "Infrastructure: two buckets and an endpoint, as Pulumi resources", quiet=quiet)
    with _engine.steps("bringing it up", quiet=quiet) as show:
        summary = stack.engine.up(show)
    _said(
        f"{_engine.counted(summary)} in {summary.seconds:.1f} s; it answers at {stack.endpoint()[1].url}", quiet=quiet
    )


def _train(stack: Stack, *, quiet: bool) -> tuple[Run, ModelRef]:
    from skylift.cli import _follow, _render
    from skylift.client import journey

    _title(3, "Training: a convolutional network on 5,000 real handwritten digits", quiet=quiet)
    run, done = journey.trained(stack)
    _said(f"run {run.id}", quiet=quiet)
    result = run.result if done else _follow.watch(run, quiet=quiet)
    assert result is not None
    model = run.model
    verb = "was trained already" if done else "is trained"
    _said(
        f"{model.name}:{model.version} {verb}; on digits it has never seen: {_render.metrics(result.metrics, _render.IN_A_LINE)}",
        quiet=quiet,
    )
    return run, model


def _deploy(stack: Stack, model: ModelRef, *, quiet: bool) -> None:
    from skylift.cli import _progress
    from skylift.client import releases

    _title(4, "Release: verified, loaded, warmed, then switched to", quiet=quiet)
    with _progress.spinner("deploying", quiet=quiet) as say:
        made = releases.deploy(stack, model, notice=say)
    _said(f"deployment {made.number}: {model.name}:{model.version} answers", quiet=quiet)


def _predict(stack: Stack, *, quiet: bool) -> tuple[Prediction, Any, Any]:
    from skylift.client import prediction

    _title(5, "Prediction: one digit of the test set", quiet=quiet)
    samples = prediction.samples(stack)
    return prediction.ask(stack, samples.instances[0])[0][0], samples.instances[0], samples.expected[0]


def _report(run: Run) -> str:
    from skylift.artifacts import layout

    folder = run.stack.keep.folder
    key = layout.run_report(run.id)
    return str(folder / key) if folder is not None else run.stack.keep.where(key)


def _draw(row: Any, answer: Prediction, truth: Any) -> None:
    """The digit, two of its lines in one of the terminal's, beside the probabilities."""
    import numpy as np

    pixels = np.asarray(row, dtype=float).reshape(np.asarray(row).shape[:2])
    lines = (pixels[0::2] + pixels[1::2]) / 2 / 255
    scores = sorted(answer.scores.items(), key=lambda pair: -pair[1])[:5]
    beside = {
        2: click.style(f"predicted {answer.label}", bold=True) + f"   probability {answer.probability:.1%}",
        3: f"in truth  {truth}",
        **{5 + i: f"{name}  {'█' * round(score * 24):24} {score:6.1%}" for i, (name, score) in enumerate(scores)},
        11: click.style(f"answered by {answer.model}:{answer.version}", dim=True),
    }
    click.echo()
    for number, line in enumerate(lines):
        drawn = "".join(SHADES[min(int(value * len(SHADES)), len(SHADES) - 1)] for value in line)
        click.echo(f"  {drawn}   {beside.get(number, '')}")
    click.echo()
