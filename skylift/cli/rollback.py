from __future__ import annotations

import click

from skylift.cli._options import common, confirm, endpoint_option, open_stack, stack_option, yes_option


@click.command("rollback", short_help="Let an endpoint answer with the version before.")
@endpoint_option
@stack_option
@click.option("--to", "number", type=click.IntRange(min=1), metavar="DEPLOYMENT", help="Go back to this deployment.")
@yes_option
@common
@click.pass_context
def command(
    ctx: click.Context, endpoint: str | None, stack_flag: str | None, number: int | None, yes: bool, as_json: bool
) -> None:
    """Let an endpoint answer with what it served before; recorded as a new deployment.

    While there is a canary, that means to take it away; a second rollback goes back further.
    """
    from skylift.cli import _progress, _render, deploy
    from skylift.client import releases

    stack = open_stack(ctx, stack_flag)
    name, address = stack.endpoint(endpoint)
    now = releases.serving_now(stack, name)
    before = f"deployment {number}" if number else "what it served before"
    if number is None and now is not None and now.canary is not None:
        before = f"{now.model.name}:{now.model.version} alone, without its canary"
    confirm(f"Let endpoint {name} answer with {before}?", yes=yes)
    with _progress.spinner("rolling back", quiet=as_json) as say:
        made = releases.rollback(stack, endpoint=name, to=number, notice=say)
    if as_json:
        _render.print_json(made)
        return
    deploy.show(made, address.url, waited=True, pending=releases.awaits_approval(stack, made))
