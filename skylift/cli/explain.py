from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skylift.cli._options import common, complete_models, open_stack, stack_option

if TYPE_CHECKING:
    from skylift.client.explaining import Baseline, Method

_BAR = 20
"""Characters of the longest bar to each side."""


@click.command("explain", short_help="Show why a model says what it says.")
@click.argument("model", shell_complete=complete_models)
@click.argument("source", metavar="[FILE|JSON|-]", required=False)
@click.option(
    "--sample", type=click.IntRange(min=1), metavar="K", help="Explain the K-th row that goes with the model."
)
@click.option("--class", "label", metavar="LABEL", help="The class to explain. Default: the predicted one.")
@click.option(
    "--method",
    "methods",
    type=click.Choice(["auto", "integrated-gradients", "grad-cam", "attention", "permutation", "shap"]),
    multiple=True,
    help="How; may be given several times. Default: integrated-gradients, or permutation without an input.",
)
@click.option(
    "--baseline",
    type=click.Choice(["auto", "zero", "mean"]),
    default="auto",
    show_default=True,
    help="What integrated gradients compare the input with: zeros, or the mean of the training rows.",
)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page that needs nothing else.")
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), help="Write a picture.")
@click.option(
    "--top", type=click.IntRange(1, 1000), default=15, show_default=True, help="How many parts of the input to name."
)
@click.option("--invert", is_flag=True, help="Images: take light for dark.")
@stack_option
@common
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    source: str | None,
    sample: int | None,
    label: str | None,
    methods: tuple[Method, ...],
    baseline: Baseline,
    html: Path | None,
    png: Path | None,
    top: int,
    invert: bool,
    stack_flag: str | None,
    as_json: bool,
) -> None:
    """Show what in an input (given as to `predict`) makes MODEL say what it says: pixels, columns, words or time steps, with signs.

    Without an input, what the model as a whole relies on. shap needs skylift[explain].
    """
    from skylift.cli import _render
    from skylift.client import explaining, inputs

    if source is not None and sample is not None:
        raise click.UsageError("give either an input or --sample K")
    wanted = explaining.Wanted(methods or ("auto",), label, baseline, html, png, top)
    given: Any = source
    if source == "-" or (source and source.lstrip()[:1] in ("[", "{")):
        given = inputs.parse_json(sys.stdin.read() if source == "-" else source)
    answer = explaining.explain(open_stack(ctx, stack_flag), model, given, sample=sample, wanted=wanted, invert=invert)
    if as_json:
        _render.print_json(answer.found)
        return
    for note in answer.notes:
        click.secho(f"note: {note}", fg="yellow", err=True)
    show(answer.found, top)
    for path in (html, png):
        if path is not None:
            click.echo(f"\nwritten: {path}")
    if html is None:
        said = f"--sample {sample}" if sample is not None else source or ""
        again = " ".join(each for each in ("skylift explain", model, said if len(said) < 60 else "…") if each)
        _render.next_steps((f"{again} --html why.html", "writes a page, with pictures"))


def show(found: dict[str, Any], top: int) -> None:
    """What was explained, then each explanation."""
    from skylift.cli import _render

    said = found["prediction"]
    if said is not None:
        what = f"{said['label']} ({said['probability']:.1%})" if said["label"] is not None else _value(said)
        _render.fields([("model", found["model"]), ("prediction", what), ("in truth", found["truth"])])
    for each in found["explanations"]:
        _render.heading(f"{each['method']}: {each['explained']}")
        click.echo(each["shows"])
        if each["map"] is not None:
            _map(each["map"])
        if each["parts"]:
            _parts(each, top)
        for number, layer in enumerate(each["layers"], 1):
            _heads(number, layer, each["parts"], top)
        for line in (*_sums(each), *each["notes"]):
            click.secho(line, dim=True)
        click.echo(f"It does not show: {each['shows_not']}")


def _value(said: dict[str, Any]) -> str:
    value = said["value"]
    shown = f"{value:.6g}" if isinstance(value, float) else ", ".join(f"{part:.6g}" for part in value)
    return f"{shown} {said['unit']}".strip()


def _parts(each: dict[str, Any], top: int) -> None:
    """The largest shares as bars; the words of a text in the text's order."""
    from skylift.cli import _render

    parts = each["parts"]
    of_loss = each["method"] == "permutation"
    share, down, up = ("loss grows by", "falls", "grows") if of_loss else ("share", "against", "for")
    shown = sorted(parts, key=lambda part: -abs(part["share"]))[:top]
    if any("characters" in part for part in parts):
        shown = [part for part in parts if part in shown]
    most = max(abs(part["share"]) for part in shown) or 1.0
    extra = [name for name in shown[0] if name not in ("name", "share", "value", "spread", "characters")]
    has_signs = any(part["share"] < 0 for part in shown)
    _render.table(
        [
            "part",
            ">value",
            f">{share}",
            ">±",
            *(f">{name}" for name in extra),
            f"{down:>{_BAR}} | {up}" if has_signs else "",
        ],
        [
            (
                part["name"],
                "" if part["value"] is None else f"{part['value']:.5g}",
                f"{part['share']:+.4f}" if most >= 1e-2 else f"{part['share']:+.3g}",
                f"{part['spread']:.4f}" if "spread" in part else "",
                *(f"{part[name]:.2%}" for name in extra),
                _bar(part["share"] / most, has_signs),
            )
            for part in shown
        ],
    )
    if len(shown) < len(parts):
        click.secho(f"the {len(shown)} largest of {len(parts)}", dim=True)


def _bar(share: float, has_signs: bool) -> str:
    drawn = "█" * round(abs(share) * _BAR) or ("▏" if share else "")
    return f"{drawn if share < 0 else '':>{_BAR}} | {drawn if share > 0 else ''}" if has_signs else drawn


def _heads(number: int, layer: list[list[float]], parts: list[dict[str, Any]], top: int) -> None:
    from skylift.cli import _render

    shown = sorted(range(len(parts)), key=lambda at: -parts[at]["share"])[: min(top, 8)]
    names = [f">{parts[at]['name']}" for at in sorted(shown)]
    rows = [
        (f"layer {number}, head {head}", *(f"{row[at]:.0%}" for at in sorted(shown)))
        for head, row in enumerate(layer, 1)
    ]
    _render.table(["", *names], rows)


def _sums(each: dict[str, Any]) -> list[str]:
    done = each["completeness"]
    if done is None:
        return []
    steps = f" after {done['steps']} steps" if done["steps"] else ""
    return [
        f"baseline: {each['baseline']}, {done['baseline_value']:.4g}; this input: {done['value']:.4g}",
        f"the shares add up to {done['sum']:+.4g}, {done['gap']:.2g} off the difference{steps} (allowed: {done['tolerance']:.2g})",
    ]


def _map(shares: list[list[float]]) -> None:
    """A coarse map: `#` and `+` speak for, `=` and `-` against."""
    high = max(1, -(-len(shares) // 20))
    wide = max(1, high // 2)
    rows = []
    for up in range(0, len(shares), high):
        cells = []
        for left in range(0, len(shares[0]), wide):
            cells.append(sum(sum(row[left : left + wide]) for row in shares[up : up + high]))
        rows.append(cells)
    most = max(abs(cell) for row in rows for cell in row) or 1.0
    for row in rows:
        click.echo("  " + "".join(_cell(cell / most) for cell in row).rstrip())
    has_against = any(cell < 0 for row in rows for cell in row)
    click.secho("  # + speak for it" + (", = - against it" if has_against else "") + ", . a little", dim=True)


def _cell(share: float) -> str:
    if abs(share) < 0.1:
        return "  " if abs(share) < 0.01 else ". "
    strong, weak, colour = ("#", "+", "yellow") if share > 0 else ("=", "-", "blue")
    return click.style((strong if abs(share) >= 0.4 else weak) * 2, fg=colour)
