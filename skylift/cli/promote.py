from __future__ import annotations

import click

from skylift.cli import _release
from skylift.cli._options import common, confirm, open_stack, stack_option, yes_option


@click.command("promote", short_help="Let a canary answer all requests.")
@_release.endpoint_argument
@stack_option
@click.option("--force", is_flag=True, help="Also one that was vetoed.")
@click.option("--why", default="", help="A reason, for the record.")
@click.option("--no-wait", is_flag=True, help="Return when the pointer has moved, without waiting for replicas.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="How long replicas may take [s].")
@yes_option
@common
@click.pass_context
def command(
    ctx: click.Context,
    named: str | None,
    endpoint: str | None,
    stack_flag: str | None,
    force: bool,
    why: str,
    no_wait: bool,
    timeout: float | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Let the canary of ENDPOINT answer all requests, as a new deployment.

    It is loaded already: replicas switch at once. One that was vetoed is refused (exit code 10).
    """
    from skylift.cli import _progress, _render, deploy
    from skylift.client import canaries, releases

    stack = open_stack(ctx, stack_flag)
    name, address = stack.endpoint(_release.one_endpoint(named, endpoint))
    if not yes and (seen := canaries.progress(stack, name)) is not None:
        if not as_json:
            _release.show(seen)
        confirm(f"Let {seen.model} answer all requests of endpoint {name}?", yes=False)
    with _progress.spinner("promoting", quiet=as_json) as say:
        made = canaries.promote(
            stack, endpoint=name, force=force, why=why, wait=not no_wait, timeout=timeout, notice=say
        )
    if as_json:
        _render.print_json(made)
        return
    deploy.show(made, address.url, waited=not no_wait, pending=releases.awaits_approval(stack, made))
