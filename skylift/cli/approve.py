from __future__ import annotations

import click

from skylift.cli import _release
from skylift.cli._options import common, complete_endpoints, endpoint_option, open_stack, stack_option


@click.command("approve", short_help="Agree to a deployment that somebody else made.")
@click.argument("named", metavar="[ENDPOINT]", required=False, shell_complete=complete_endpoints)
@click.argument("number", metavar="[DEPLOYMENT]", required=False)
@endpoint_option
@stack_option
@click.option("--why", default="", help="A reason, for the record.")
@click.option("--no-wait", is_flag=True, help="Return when it is recorded, without waiting for replicas.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="How long replicas may take [s].")
@common
@click.pass_context
def command(
    ctx: click.Context,
    named: str | None,
    number: str | None,
    endpoint: str | None,
    stack_flag: str | None,
    why: str,
    no_wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Agree to DEPLOYMENT of ENDPOINT (default: the one that is to be served), so that replicas may serve it.

    It holds for just these versions. Where an endpoint's settings say `approval: true`, replicas serve nothing without it.
    """
    from skylift.cli import _progress, _render
    from skylift.client import approving

    named, wanted = _split(named, number)
    stack = open_stack(ctx, stack_flag)
    name, address = stack.endpoint(_release.one_endpoint(named, endpoint))
    with _progress.spinner("approving", quiet=as_json) as say:
        made = approving.approve(
            stack, endpoint=name, number=wanted, why=why, wait=not no_wait, timeout=timeout, notice=say
        )
    if as_json:
        _render.print_json(made)
        return
    click.echo(f"deployment {made.number} of endpoint {name} is approved")
    if not address.approval:
        click.echo(f"Endpoint {name} does not ask for approval, so this changes nothing.")
    _render.next_steps(
        ("skylift status", "shows what replicas serve"), ("skylift deployments", "shows who approved what")
    )


def _split(named: str | None, number: str | None) -> tuple[str | None, int | None]:
    """A number alone is the deployment's."""
    if number is None and named is not None and named.isdecimal():
        named, number = None, named
    if number is not None and (not number.isdecimal() or int(number) < 1):
        raise click.UsageError(f"{number!r} is no deployment's number; `skylift deployments` lists them")
    return named, int(number) if number is not None else None
