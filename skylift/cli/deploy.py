from __future__ import annotations

import click

from skylift.cli._options import common, complete_models, endpoint_option, open_stack, stack_option


@click.command("deploy", short_help="Let an endpoint answer with a model's version.")
@click.argument("model", metavar="MODEL[:VERSION]", shell_complete=complete_models)
@endpoint_option
@stack_option
@click.option("--why", default="", help="A reason, for the record.")
@click.option("--no-wait", is_flag=True, help="Return when the pointer has moved, without waiting for replicas.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="How long replicas may take [s].")
@common
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    endpoint: str | None,
    stack_flag: str | None,
    why: str,
    no_wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Let an endpoint answer with a version (default: the newest).

    The version is verified byte by byte, the deployment recorded, the pointer moved; replicas load it beside what they serve and switch
    without dropping a request. If one cannot, what answered before is restored (exit code 10).
    """
    from skylift.cli import _progress, _render
    from skylift.client import releases

    stack = open_stack(ctx, stack_flag)
    name, address = stack.endpoint(endpoint)
    with _progress.spinner("deploying", quiet=as_json) as say:
        made = releases.deploy(
            stack,
            model,
            endpoint=name,
            why=why,
            wait=not no_wait,
            timeout=timeout,
            notice=say,
            progress=lambda done, total, file: say(f"verifying {_render.size(done)} of {_render.size(total)}: {file}"),
        )
    if as_json:
        _render.print_json(made)
        return
    show(made, address.url, waited=not no_wait)


def show(made: object, url: str, *, waited: bool) -> None:
    """Print a deployment and what to type next."""
    from skylift.artifacts.records import Deployment
    from skylift.cli import _render

    assert isinstance(made, Deployment)
    model = made.model
    verb = "answers" if waited else "will answer"
    click.echo(f"{model.name}:{model.version} {verb} at {url} (endpoint {made.endpoint}, deployment {made.number})")
    _render.next_steps(
        ("skylift predict FILE", "sends it an input"),
        (f"curl {url}/v1/models/{model.name}", "asks the server itself"),
        ("skylift rollback", "goes back to what served before"),
    )
