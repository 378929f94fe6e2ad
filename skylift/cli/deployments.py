from __future__ import annotations

import click

from skylift.cli._options import common, endpoint_option, open_stack, stack_option


@click.command("deployments", short_help="List what an endpoint has been told to serve.")
@endpoint_option
@stack_option
@common
@click.pass_context
def command(ctx: click.Context, endpoint: str | None, stack_flag: str | None, as_json: bool) -> None:
    """List an endpoint's deployments, newest first: which version, who, when, why."""
    from skylift.artifacts import endpoints
    from skylift.cli import _render
    from skylift.client import releases

    stack = open_stack(ctx, stack_flag)
    name, _ = stack.endpoint(endpoint)
    listed = sorted(endpoints.list_deployments(stack.keep, name), key=lambda one: -one.number)
    now = releases.serving_now(stack, name)
    if as_json:
        _render.print_json({"endpoint": name, "current": now.number if now else None, "deployments": listed})
        return
    rows = [
        (
            "→" if now is not None and one.number == now.number else "",
            one.number,
            f"{one.model.name}:{one.model.version}",
            _render.ago(one.created),
            one.by,
            one.why,
        )
        for one in listed
    ]
    _render.table(
        ["", ">deployment", "model", ">made", "by", "~why"], rows, empty="nothing deployed yet: `skylift deploy MODEL`"
    )
