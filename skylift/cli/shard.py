from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from skylift.cli._options import common, complete_models, open_stack, stack_option


@click.command("shard", short_help="Cut a model into parts that serve as a chain.")
@click.argument("model", metavar="MODEL[:VERSION]", shell_complete=complete_models)
@click.option("--parts", type=int, required=True, metavar="N", help="How many parts.")
@click.option(
    "--objective",
    type=click.Choice(["time", "memory"]),
    default="time",
    show_default=True,
    help="What is balanced: time of a batch, for throughput; or memory, for a model that fits no single device.",
)
@click.option(
    "--bandwidth",
    type=float,
    default=10.0,
    show_default=True,
    metavar="GBIT/S",
    help="Between two parts: what a cut sends costs that much time.",
)
@click.option("--name", default="", help="What the parts' names begin with. Default: the model's name.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the parts to this new folder instead of publishing them.",
)
@stack_option
@common
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    parts: int,
    objective: Literal["time", "memory"],
    bandwidth: float,
    name: str,
    out: Path | None,
    stack_flag: str | None,
    as_json: bool,
) -> None:
    """Cut MODEL at layer boundaries into N parts of like cost, each a model version that serves by itself.

    Every layer is timed on this machine; of the balanced cuts the one that sends the fewest bytes is taken. Each part, and the chain of
    all, is compared with the model in every form before anything is published. docs/sharding.md says how to serve a chain.
    """
    from skylift.cli import _progress, _render
    from skylift.client import sharding

    stack = open_stack(ctx, stack_flag)
    how = sharding.Cutting(parts, objective, bandwidth, name, out)
    with _progress.spinner(f"cutting {model}", quiet=as_json) as spin:
        report = sharding.shard(stack, model, how, lambda done, total, text: spin(text))
    if as_json:
        _render.print_json(report)
        return
    _show(report)
    if out is not None:
        click.echo(f"\nwritten: {out}")
        return
    _published(report)


def _show(report: dict[str, Any]) -> None:
    from skylift.cli import _render

    rows = [
        (
            number,
            part["first"] if part["first"] == part["last"] else f"{part['first']} … {part['last']}",
            part["layers"],
            f"{part['parameters']:,}",
            _render.size(part["parameter_bytes"]),
            _render.size(part["activation_bytes"]),
            _render.size(part["bytes_in"]) if part["bytes_in"] else "",
            f"{part['ms']['1']:.2f}",
            f"{part['ms']['32']:.2f}",
            f"{part['share']:.0%}",
        )
        for number, part in enumerate(report["parts"], start=1)
    ]
    columns = ["part", "~layers", ">of them", ">parameters", ">size", ">held a row", ">in a row"]
    _render.table([*columns, ">ms at 1", ">ms at 32", ">share"], rows)
    _render.heading(f"The chain against the uncut model, rows of the {report['rows']}")
    shown = [
        (each["form"], each["against"], f"{each['max_abs_difference']:.1e}", f"{each['tolerance']:.1e}", each["rows"])
        for each in report["parity"]
    ]
    _render.table(["chain of", "against", ">differs by", ">allowed", ">rows"], shown)
    _render.heading(f"Pace in batches of 32, predicted for {report['bandwidth']:g} Gbit/s between parts")
    paces = [
        (
            each["runtime"],
            f"{each['one_device']:,.0f}",
            f"{each['rows_per_second']:,.0f}",
            f"{each['speedup']:.2f}",
            f"{each['without_transfer']:.2f}",
        )
        for each in report["efficiency"]
    ]
    columns = ["runtime", ">rows/s on one device", ">rows/s of the pipeline", ">times", ">times if nothing travelled"]
    _render.table(columns, paces)
    for note in report["notes"]:
        click.echo(note)


def _published(report: dict[str, Any]) -> None:
    from skylift.cli import _render

    chain, parts = report["chain"], [part["version"] for part in report["parts"]]
    click.echo(f"\n{chain['name']}:{chain['version']} names the parts; each is published:")
    for part in parts:
        click.echo(f"  {part['name']}:{part['version']} ({part['digest'][:12]})")
    names = [f"{part['name']}:{part['version']}" for part in parts]
    _render.next_steps(
        ("skylift up", f"makes {len(parts)} endpoints, once `skylift:endpoints` names part1, part2, …"),
        *(
            (f"skylift deploy {name} --endpoint part{number}", f"serves part {number} of {len(parts)}")
            for number, name in enumerate(names, start=1)
        ),
    )
