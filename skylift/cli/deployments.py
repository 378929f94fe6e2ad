from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from skylift.cli import _release
from skylift.cli._options import common, endpoint_option, open_stack, stack_option

if TYPE_CHECKING:
    from skylift.client.approving import Release


@click.command("deployments", short_help="List what an endpoint has been told to serve.")
@endpoint_option
@stack_option
@common
@click.pass_context
def command(ctx: click.Context, endpoint: str | None, stack_flag: str | None, as_json: bool) -> None:
    """List an endpoint's deployments, newest first: which version, its canary, who, when, why; who approved it, and why its canary was
    vetoed."""
    from skylift.cli import _render
    from skylift.client import approving

    stack = open_stack(ctx, stack_flag)
    name, address = stack.endpoint(endpoint)
    listed = approving.history(stack, name)
    if as_json:
        current = next((one.deployment.number for one in listed if one.is_current), None)
        _render.print_json({"endpoint": name, "current": current, "deployments": [_plain(one) for one in listed]})
        return
    columns = ["", ">deployment", "model", "canary", ">made", "by", "~why", "approval", "~veto"]
    rows = [_row(one, asks_approval=address.approval) for one in listed]
    _render.table(columns, rows, empty="nothing deployed yet: `skylift deploy MODEL`")


def _plain(one: Release) -> dict[str, Any]:
    import msgspec

    return {**msgspec.to_builtins(one.deployment), "approval": one.approval, "veto": one.veto}


def _row(one: Release, *, asks_approval: bool) -> tuple[object, ...]:
    from skylift.cli import _render

    made, canary = one.deployment, one.deployment.canary
    return (
        "→" if one.is_current else "",
        made.number,
        f"{made.model.name}:{made.model.version}",
        f"{canary.model.version} with {_release.share(canary.weight)}" if canary is not None else "",
        _render.ago(made.created),
        made.by,
        made.why,
        one.approval.by if one.approval is not None else ("none" if asks_approval else ""),
        f"{one.veto.why} ({one.veto.by})" if one.veto is not None else "",
    )
