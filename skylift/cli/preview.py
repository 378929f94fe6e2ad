from __future__ import annotations

import click

from skylift.cli._options import common, open_stack, stack_argument


@click.command("preview", short_help="Show what `up` would change.")
@stack_argument
@click.option("--expect-no-changes", is_flag=True, help="Exit with 5 if anything would change, for CI.")
@common
@click.pass_context
def command(
    ctx: click.Context, stack_name: str | None, stack_flag: str | None, expect_no_changes: bool, as_json: bool
) -> None:
    """Show what `up` would change in STACK, without changing it."""
    from skylift.cli import _engine, _render
    from skylift.errors import ConflictError

    stack = open_stack(ctx, stack_name, stack_flag)
    with _engine.steps(f"previewing {stack.name}", quiet=as_json, listed=False) as look:
        summary = stack.engine.preview(look)
    if as_json:
        _render.print_json(_engine.plain(summary))
    else:
        _engine.planned(summary)
        click.echo("`up` would change this" if summary.changed else "nothing would change")
    if expect_no_changes and summary.changed:
        raise ConflictError(f"stack {stack.name} is not what its file says", hint=f"`skylift up {stack.name}`")
