from __future__ import annotations

import click

from skylift.cli import _release
from skylift.cli._options import common, open_stack, stack_option


@click.command("veto", short_help="End a canary for good, on all replicas at once.")
@_release.endpoint_argument
@stack_option
@click.option("--why", required=True, help="The reason, for the record.")
@click.option("--no-wait", is_flag=True, help="Return when it is recorded, without waiting for replicas.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="How long replicas may take [s].")
@common
@click.pass_context
def command(
    ctx: click.Context,
    named: str | None,
    endpoint: str | None,
    stack_flag: str | None,
    why: str,
    no_wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Veto the canary of ENDPOINT: from now on the version beside it answers alone, on every replica.

    A veto is never taken back. `skylift deploy MODEL --canary SHARE` begins with the version anew.
    """
    from skylift.cli import _progress, _render
    from skylift.client import canaries

    stack = open_stack(ctx, stack_flag)
    name, _ = stack.endpoint(_release.one_endpoint(named, endpoint))
    with _progress.spinner("vetoing", quiet=as_json) as say:
        made = canaries.veto(stack, why, endpoint=name, wait=not no_wait, timeout=timeout, notice=say)
    if as_json:
        _render.print_json(made)
        return
    click.echo(f"{made.canary.name}:{made.canary.version} is vetoed (endpoint {name}, deployment {made.number})")
    _render.next_steps(
        ("skylift rollback", "takes it off the record"),
        ("skylift deployments", "lists what was deployed, approved and vetoed"),
    )
