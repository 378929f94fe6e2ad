from __future__ import annotations

from pathlib import Path

import click

from skylift.cli._options import common, confirm, yes_option

TARGETS = ("gce", "gke", "vertex", "ec2", "eks", "sagemaker", "azure-vm", "aks", "azureml")


@click.command("bootstrap", short_help="Make the bucket and key for state that a team shares.")
@click.option(
    "--target", type=click.Choice(TARGETS), required=True, help="A target of the cloud that is to keep state."
)
@click.option("--region", required=True, help="The region of bucket and key.")
@click.option("--account", required=True, help="AWS account, Google project or Azure subscription, and none else.")
@click.option("--prefix", default="skylift", show_default=True, help="Beginning of the names of what is made.")
@click.option("--owner", help="Who answers for it.")
@yes_option
@common
@click.pass_context
def command(
    ctx: click.Context,
    target: str,
    region: str,
    account: str,
    prefix: str,
    owner: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Make what a team needs before its first stack: a bucket for Pulumi's state and a key for the secrets in it.

    The bucket is versioned, private and encrypted. What there is already stays as it is, so running it twice is safe; nothing that it
    makes is ever removed by a command. At the end it prints the `init` that uses both. Not tried on a cloud account.
    """
    from skylift.cli import _engine, _render
    from skylift.cli._group import App
    from skylift.client.bootstrap import Bootstrap, Place

    app = ctx.ensure_object(App)
    bar = _engine.BuildBar(quiet=app.as_json)
    ctx.call_on_close(bar.close)
    place = Place(target=target, region=region, account=account, prefix=prefix, owner=owner)
    work = Bootstrap(app.project or Path.cwd(), place, on_build=bar)
    if not yes:
        with _engine.steps(f"looking at {account}", quiet=as_json, listed=False) as look:
            plan = work.engine.preview(look)
        if plan.changed:
            _engine.planned(plan)
            confirm(f"Make this in {account}, {region}?", yes=yes)
    with _engine.steps(f"making the state bucket in {account}", quiet=as_json) as show:
        made = work.up(show)
    follows = f"skylift init NAME --target {target} --region {region} --account {account}"
    follows += f" --backend '{made.backend}' --secrets-provider '{made.secrets_provider}'"
    if as_json:
        _render.print_json(
            {
                "backend": made.backend,
                "secrets_provider": made.secrets_provider,
                "found": list(made.found),
                "init": follows,
            }
        )
        return
    for kind in made.found:
        click.echo(f"the {kind} is there already; left as it is")
    _render.fields([("state", made.backend), ("secrets by", made.secrets_provider)])
    _render.next_steps((follows, "writes a stack that uses them"))
