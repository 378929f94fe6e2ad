from __future__ import annotations

import click

from skylift.cli._options import common, open_stack, stack_argument


@click.command("refresh", short_help="Compare a stack's state with what really exists.")
@stack_argument
@click.option("--preview-only", is_flag=True, help="Show the drift, and leave the state as it is.")
@click.option("--expect-no-changes", is_flag=True, help="Exit with 5 if there is drift, for CI.")
@common
@click.pass_context
def command(
    ctx: click.Context,
    stack_name: str | None,
    stack_flag: str | None,
    preview_only: bool,
    expect_no_changes: bool,
    as_json: bool,
) -> None:
    """Compare STACK's state with what really exists, and take the difference into the state. `up` then mends it."""
    from skylift.cli import _engine, _render
    from skylift.errors import ConflictError

    stack = open_stack(ctx, stack_name, stack_flag)
    with _engine.steps(f"looking at {stack.name}", quiet=as_json, listed=False) as show:
        summary = stack.engine.refresh(show, preview_only=preview_only)
    if as_json:
        _render.print_json({**_engine.plain(summary), "drift": summary.changed})
    else:
        _engine.planned(summary)
        click.echo(f"drift: `skylift up {stack.name}` mends it" if summary.changed else "no drift")
    if expect_no_changes and summary.changed:
        raise ConflictError(f"stack {stack.name} has drifted", hint=f"`skylift up {stack.name}` mends it")
