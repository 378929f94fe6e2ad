from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from skylift.cli._options import common, endpoint_option, open_stack, stack_option

if TYPE_CHECKING:
    from skylift.client import Prediction, Stack


@click.command("predict", short_help="Send an input to an endpoint and print the answer.")
@click.argument("source", metavar="[FILE|JSON|-]", required=False)
@click.option(
    "--sample", type=click.IntRange(min=1), metavar="N", help="Send the N-th of the rows that go with the model."
)
@endpoint_option
@stack_option
@click.option("--invert", is_flag=True, help="Images: take light for dark.")
@common
@click.pass_context
def command(
    ctx: click.Context,
    source: str | None,
    sample: int | None,
    endpoint: str | None,
    stack_flag: str | None,
    invert: bool,
    as_json: bool,
) -> None:
    """Send an input (.json, .npy, .csv, .png, .jpg, .txt, JSON itself, or - for JSON on standard input) and print the answer:
    label, probability, and the version that answered. Texts go in a list: '["heure du matin"]'."""
    from skylift.cli import _render
    from skylift.client import prediction

    if (source is None) == (sample is None):
        raise click.UsageError("give either an input or --sample N")
    stack = open_stack(ctx, stack_flag)
    rows, truth = _sample(stack, sample, endpoint) if sample is not None else (_source(source or ""), None)
    answers, given = prediction.ask(stack, rows, endpoint=endpoint, invert=invert)
    if as_json:
        _render.print_json([answer.to_dict() for answer in answers])
        return
    for note in given.notes:
        click.secho(f"note: {note}", fg="yellow", err=True)
    show(answers)
    if truth is not None:
        click.echo(f"in truth: {truth}")


def _sample(stack: Stack, number: int, endpoint: str | None) -> tuple[Any, Any]:
    from skylift.client import prediction

    kept = prediction.samples(stack, endpoint=endpoint)
    if number > len(kept.instances):
        raise click.UsageError(f"the model came with {len(kept.instances)} samples; {number} is none of them")
    return kept.instances[number - 1], kept.expected[number - 1]


def _source(text: str) -> Any:
    from skylift.client import inputs

    if text == "-":
        return inputs.parse_json(sys.stdin.read())
    return inputs.parse_json(text) if text.lstrip()[:1] in ("[", "{") else text


def show(answers: list[Prediction]) -> None:
    """A table, a row an answer."""
    from skylift.cli import _render

    rows = []
    for number, one in enumerate(answers):
        others = sorted(one.scores.items(), key=lambda pair: -pair[1])[1:3]
        rows.append(
            (
                number,
                one.label if one.label is not None else _value(one),
                f"{one.probability:.1%}" if one.probability is not None else "",
                ", ".join(f"{name} {score:.1%}" for name, score in others),
                f"{one.model}:{one.version}",
            )
        )
    answer = "label" if answers and answers[0].label is not None else "value"
    _render.table([">row", f"~{answer}", ">probability", "~then", "answered by"], rows, empty="no rows")


def _value(one: Prediction) -> str:
    if one.value is None:
        return str(one.raw)
    shown = f"{one.value:.6g}" if isinstance(one.value, float) else ", ".join(f"{part:.6g}" for part in one.value)
    return f"{shown} {one.unit}".strip()
