from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from skylift.cli import _release
from skylift.cli._options import common, complete_models, endpoint_option, open_stack, stack_option

if TYPE_CHECKING:
    from skylift.artifacts.records import Deployment
    from skylift.cli._progress import Spinner
    from skylift.client import Stack


@click.command("deploy", short_help="Let an endpoint answer with a model's version.")
@click.argument("model", metavar="MODEL[:VERSION]", required=False, shell_complete=complete_models)
@endpoint_option
@stack_option
@click.option(
    "--canary", type=_release.Share(), metavar="SHARE", help="Give it only this share of the requests: 10%, 0.1."
)
@click.option("--weight", type=_release.Share(), metavar="SHARE", help="Without MODEL: give the canary another share.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    help="What the canary may do worse before it is vetoed: errors=1%, refusals=20%, median=1.5, p99=2, slower_ms=5, requests=100, "
    "chance=0.0001.",
)
@click.option("--watch", is_flag=True, help="Follow the canary until it is vetoed, or Ctrl-C.")
@click.option("--for", "span", type=_release.Span(), metavar="TIME", help="Follow it for so long: 90s, 10m, 2h.")
@click.option("--why", default="", help="A reason, for the record.")
@click.option("--no-wait", is_flag=True, help="Return when the pointer has moved, without waiting for replicas.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="How long replicas may take [s].")
@common
@click.pass_context
def command(
    ctx: click.Context,
    /,
    model: str | None,
    endpoint: str | None,
    stack_flag: str | None,
    canary: float | None,
    weight: float | None,
    limits: tuple[str, ...],
    watch: bool,
    span: float | None,
    as_json: bool,
    **rest: Any,
) -> None:
    """Let an endpoint answer with a version (default: the newest).

    The version is verified byte by byte, the deployment recorded, the pointer moved; replicas load it beside what they serve and switch
    without dropping a request. If one cannot, what answered before is restored (exit code 10).

    With --canary it gets a share of the requests, and every replica compares it with what answers the others. One that is worse is
    vetoed and gets none any more (exit code 10 while you watch). `skylift promote` lets it answer all, `skylift rollback` takes it away.
    """
    share = canary if canary is not None else weight
    _check(ctx, model, canary, weight, bool(limits) or watch or span is not None)
    asked = _release.limits_of(limits)
    from skylift.cli import _progress, _render

    stack = open_stack(ctx, stack_flag)
    name, address = stack.endpoint(endpoint)
    with _progress.spinner("deploying", quiet=as_json) as say:
        made = _deploy(stack, name, model, share, asked, rest, say)
    pending = _is_pending(stack, made)
    if not as_json:
        show(made, address.url, waited=not rest["no_wait"], pending=pending)
    last = None
    if (watch or span is not None) and not pending:
        last = _release.follow(stack, name, span, as_json=as_json)
    if as_json:
        _render.print_json(made if last is None else {"deployment": made, "canary": last})
    elif last is not None:
        _release.show(last)


def _check(
    ctx: click.Context, model: str | None, canary: float | None, weight: float | None, is_of_canary: bool
) -> None:
    if model is None and weight is None:
        raise click.UsageError("name a MODEL, or with --weight another share of the canary that there is", ctx)
    if weight is not None and (model is not None or canary is not None):
        raise click.UsageError("--weight is for the canary that there is; with a MODEL say --canary", ctx)
    if is_of_canary and canary is None and weight is None:
        raise click.UsageError("--limit, --watch and --for are for canaries; add --canary 10%", ctx)


def _deploy(
    stack: Stack, name: str, model: str | None, share: float | None, limits: Any, rest: dict[str, Any], say: Spinner
) -> Deployment:
    from skylift.cli import _render
    from skylift.client import canaries, releases

    def progress(done: int, total: int, file: str) -> None:
        say(f"verifying {_render.size(done)} of {_render.size(total)}: {file}")

    how: dict[str, Any] = {
        "endpoint": name,
        "why": rest["why"],
        "wait": not rest["no_wait"],
        "timeout": rest["timeout"],
        "notice": say,
    }
    if model is None:
        assert share is not None
        return canaries.reweigh(stack, share, limits=limits, **how)
    if share is not None:
        return canaries.begin(stack, model, share, limits=limits, progress=progress, **how)
    return releases.deploy(stack, model, progress=progress, **how)


def _is_pending(stack: Stack, made: Deployment) -> bool:
    from skylift.client import releases

    return releases.awaits_approval(stack, made)


def show(made: Deployment, url: str, *, waited: bool, pending: bool = False) -> None:
    """Print a deployment and what to type next."""
    from skylift.cli import _render

    model = made.canary.model if made.canary is not None else made.model
    verb = "will answer" if pending or not waited else "answers"
    part = f" {_release.share(made.canary.weight)} of the requests" if made.canary is not None else ""
    place = f"at {url} (endpoint {made.endpoint}, deployment {made.number})"
    click.echo(f"{model.name}:{model.version} {verb}{part} {place}")
    if pending:
        click.echo("It waits for the approval of somebody else.")
        _render.next_steps(
            (f"skylift approve {made.endpoint} {made.number}", "is for whoever may approve"),
            ("skylift deployments", "shows whether it is approved"),
        )
    elif made.canary is not None:
        _render.next_steps(
            ("skylift status", "shows how it fares"),
            ("skylift deploy --weight 50%", "gives it a greater share"),
            ("skylift promote", "lets it answer all requests"),
            ("skylift rollback", "takes it away"),
        )
    else:
        _render.next_steps(
            ("skylift predict FILE", "sends it an input"),
            (f"curl {url}/v1/models/{model.name}", "asks the server itself"),
            ("skylift rollback", "goes back to what served before"),
        )
