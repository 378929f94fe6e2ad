from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from skylift.cli._options import common, confirm, open_stack, stack_argument, yes_option

if TYPE_CHECKING:
    from skylift.client import Stack
    from skylift.engine import Leftovers


@click.command("down", short_help="Take a stack away and prove that nothing is left.")
@stack_argument
@click.option(
    "--delete-data", is_flag=True, help="Delete the stack's own buckets too, with every model, run and log in them."
)
@click.option(
    "--compute",
    "compute_only",
    is_flag=True,
    help="Keep what holds data: on clouds buckets, registry, keys and secrets.",
)
@yes_option
@common
@click.pass_context
def command(
    ctx: click.Context,
    stack_name: str | None,
    stack_flag: str | None,
    delete_data: bool,
    compute_only: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Take STACK away: its runs are stopped, its processes end, its ports are free. Then look, and list what is left.

    The two buckets stay unless the stack is `disposable` or --delete-data is given. On clouds a stack that is not `disposable` is
    protected: --compute takes away what can be made again and keeps the data.
    """
    if delete_data and compute_only:
        raise click.UsageError("--delete-data and --compute exclude each other")
    from skylift.cli import _engine, _render
    from skylift.client import ending
    from skylift.errors import MachineError

    stack = open_stack(ctx, stack_name, stack_flag)
    plan = ending.plan(stack, compute_only=compute_only)
    goes = delete_data or (plan.disposable and not compute_only)
    confirm(_question(stack, plan, goes), yes=yes)
    with _engine.steps(f"taking {stack.name} down", quiet=as_json) as show:
        ended = ending.down(stack, plan, delete_data=delete_data, compute_only=compute_only, on_event=show)
    if as_json:
        _render.print_json(
            {
                **_engine.plain(ended.summary),
                "stopped_runs": ended.runs,
                "left": ended.left.to_dict(),
                "kept": ended.kept,
            }
        )
    else:
        click.echo(f"stack {stack.name}: {_engine.counted(ended.summary)} in {ended.summary.seconds:.1f} s")
        if ended.on_cloud:
            _show_kept(ended.kept)
        else:
            _show_left(stack, ended.left)
    if not ended.left.clean:
        raise MachineError(
            f"something of stack {stack.name} is left: {ended.left.describe()}",
            hint=f"run `skylift down {stack.name}` again; what then stays is named with its process id",
        )


def _show_kept(kept: Sequence[tuple[str, str]]) -> None:
    from skylift.cli import _render

    if kept:
        _render.table(["kept on the cloud", "name"], [(kind.rpartition(":")[2], name) for kind, name in kept])
    else:
        click.echo("nothing is left on the cloud")


def _question(stack: Stack, plan: object, goes: bool) -> str:
    from skylift.cli._render import size
    from skylift.client.ending import Plan

    assert isinstance(plan, Plan)
    text = f"Take stack {stack.name} away"
    if plan.runs:
        text += f", stop {len(plan.runs)} run(s) at work ({', '.join(plan.runs)})"
    if goes and plan.buckets:
        listed = ", ".join(f"{bucket.kind} ({bucket.files} files, {size(bucket.bytes)})" for bucket in plan.buckets)
        text += f", and DELETE its data: {listed}"
    return text + "?"


def _show_left(stack: Stack, left: Leftovers) -> None:
    from skylift.cli import _render

    rows = [
        ("processes", len(left.processes), ", ".join(f"{one.pid} {one.name}" for one in left.processes)),
        ("ports", len(left.ports), ", ".join(f"{one.host}:{one.port}" for one in left.ports)),
        ("locks", len(left.locks), ", ".join(str(one) for one in left.locks)),
        ("buckets", len(left.buckets), ""),
        *(
            ("", "", f"{bucket.url}  {bucket.files} files, {_render.size(bucket.bytes)}, kept on purpose")
            for bucket in left.buckets
        ),
    ]
    _render.table(["left", ">number", "~which"], rows)
    if left.buckets:
        click.echo(f"`skylift down {stack.name} --delete-data` deletes the buckets too")
