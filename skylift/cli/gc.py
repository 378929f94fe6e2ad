from __future__ import annotations

import click

from skylift.cli._options import common, confirm, open_stack, stack_option, yes_option


@click.command("gc", short_help="Show or remove what no longer serves anybody.")
@stack_option
@click.option("--delete", is_flag=True, help="Remove what is listed, after asking.")
@click.option(
    "--keep-versions",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Newest versions of a model that stay.",
)
@click.option(
    "--keep-logs", type=click.IntRange(min=0), default=30, show_default=True, help="Days that logs stay after a run."
)
@click.option(
    "--older-than", type=click.FloatRange(min=0), default=24.0, show_default=True, help="Hours; what is younger stays."
)
@yes_option
@common
@click.pass_context
def command(
    ctx: click.Context,
    stack_flag: str | None,
    delete: bool,
    keep_versions: int,
    keep_logs: int,
    older_than: float,
    yes: bool,
    as_json: bool,
) -> None:
    """Show what of runs, models and checkpoints may go, why, and how much it frees; with --delete remove it.

    What any endpoint was ever told to serve stays, and whatever a run that has not ended may need.
    """
    from datetime import timedelta

    from skylift.artifacts import gc
    from skylift.cli import _progress, _render

    stack = open_stack(ctx, stack_flag)
    with _progress.spinner("looking", quiet=as_json):
        items = gc.plan(
            stack.keep,
            stack.work,
            keep_versions=keep_versions,
            keep_logs=timedelta(days=keep_logs),
            young=timedelta(hours=older_than),
        )
    total = sum(item.bytes for item in items)
    listed = [{"kind": item.kind, "name": item.name, "bytes": item.bytes, "why": item.why} for item in items]
    if not as_json:
        rows = [(item.kind, item.name, _render.size(item.bytes), item.why) for item in items]
        _render.table(["what", "name", ">size", "~why it may go"], rows, empty="nothing may go")
    if items and delete:
        confirm(f"Remove these {len(items)}, {_render.size(total)}?", yes=yes)
        freed = gc.carry_out(items)
        if not as_json:
            click.echo(f"{_render.size(freed)} freed")
    elif items and not as_json:
        _render.next_steps(("skylift gc --delete", f"removes them and frees {_render.size(total)}"))
    if as_json:
        _render.print_json({"items": listed, "bytes": total, "deleted": bool(items and delete)})
