from __future__ import annotations

import click

from skylift.cli._options import common, complete_runs, confirm, open_stack, stack_option, yes_option


@click.command("cancel", short_help="Stop a run.")
@click.argument("run_name", metavar="RUN", shell_complete=complete_runs)
@stack_option
@click.option("--why", default="", help="A reason, for the record.")
@yes_option
@common
@click.pass_context
def command(ctx: click.Context, run_name: str, stack_flag: str | None, why: str, yes: bool, as_json: bool) -> None:
    """Stop RUN (its id, a part of it, or `last`) for good. What it learned up to its last checkpoint stays."""
    from skylift.cli import _render

    run = open_stack(ctx, stack_flag).run(run_name)
    confirm(f"Stop run {run.id}?", yes=yes)
    run.cancel(why)
    ended = run.result is not None
    if as_json:
        _render.print_json({"run": run.id, "cancelled": True})
        return
    click.echo(
        f"run {run.id} was at rest and has ended now"
        if ended
        else f"run {run.id} is asked to stop; it saves a checkpoint first"
    )
    _render.next_steps((f"skylift runs {run.id}", "shows when it has ended"))
