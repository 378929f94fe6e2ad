from __future__ import annotations

from pathlib import Path

import click

from skylift.cli._options import common, complete_runs, open_stack, stack_option


@click.command("compare-runs", short_help="Put runs beside each other.")
@click.argument("runs", metavar="RUN RUN…", nargs=-1, required=True, shell_complete=complete_runs)
@stack_option
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with the curves of all runs over each other; it needs nothing else.",
)
@common
@click.pass_context
def command(
    ctx: click.Context, runs: tuple[str, ...], stack_flag: str | None, html: Path | None, as_json: bool
) -> None:
    """Show what was asked differently of two to six RUNs, and how each ended on the test split."""
    from skylift.cli import _render
    from skylift.client import comparing

    found = comparing.compare(open_stack(ctx, stack_flag), runs, html)
    if as_json:
        _render.print_json(found)
        return
    _render.table(
        ["", *(run["id"] for run in found["runs"])], [(name, *values) for name, values in found["rows"]], empty=""
    )
    if html is None:
        _render.next_steps((f"skylift compare-runs {' '.join(runs)} --html runs.html", "draws their curves"))
    else:
        click.echo(f"\nwritten: {html}")
