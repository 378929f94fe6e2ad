from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skylift.cli._options import common, yes_option

if TYPE_CHECKING:
    from skylift.client.projects import Wish

TARGETS = ("local", "gce", "gke", "vertex", "ec2", "eks", "sagemaker", "azure-vm", "aks", "azureml")
"""skylift.stack.settings.TARGETS, which `--help` need not load; a test holds that both agree."""


@click.command("init", short_help="Write a new stack file, and a project if there is none.")
@click.argument("name", required=False)
@click.option("--target", type=click.Choice(TARGETS), default="local", show_default=True, help="Where the stack runs.")
@click.option("--region", help="Clouds: the region. Asked for if missing.")
@click.option(
    "--account", help="Clouds: AWS account, Google project or Azure subscription, and none else. Asked for if missing."
)
@click.option("--owner", help="Who answers for the stack.")
@click.option(
    "--stage",
    type=click.Choice(["dev", "prod"]),
    help="Clouds: what the defaults aim at, a low price or two of everything.",
)
@click.option(
    "--backend", metavar="URL", help="Where Pulumi keeps state. Default: what `bootstrap` made, else .skylift."
)
@click.option(
    "--secrets-provider",
    metavar="URL",
    help="The key that encrypts secrets in state. Default: what `bootstrap` made, else a passphrase in .skylift.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Target local: the endpoint's port. Default: 8501 if free, else any."
)
@click.option("--disposable", is_flag=True, help="Let `down` delete the stack's data too.")
@yes_option
@common
@click.pass_context
def command(
    ctx: click.Context,
    name: str | None,
    target: str,
    region: str | None,
    account: str | None,
    owner: str | None,
    stage: str | None,
    backend: str | None,
    secrets_provider: str | None,
    port: int | None,
    disposable: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Write the file of a new stack NAME (default: the target's name), and in a folder without a project the project around it.

    On a cloud it asks for the values that have no default, explains every other setting in the file, and prints what to install.
    Nothing that exists is overwritten, and nothing is made on the cloud.
    """
    from skylift.cli._group import App
    from skylift.client import projects

    folder = ctx.ensure_object(App).project or Path.cwd()
    wish = projects.Wish(
        name=name or target,
        target=target,
        port=port,
        owner=owner,
        is_disposable=disposable,
        region=region,
        account=account,
        stage=stage,
        backend=backend,
        secrets_provider=secrets_provider,
    )
    if target != "local":
        if port is not None:
            raise click.UsageError(f"--port is for target local, not {target}")
        wish = projects.with_bootstrapped(folder, _asked(wish, may_ask=not (yes or as_json) and sys.stdin.isatty()))
    written = projects.init(folder, wish)
    _tell(folder, wish, written, as_json=as_json)


def _asked(wish: Wish, *, may_ask: bool) -> Wish:
    """The wish with the values that have no default.

    Raises:
        click.UsageError: one is missing and there is nobody to ask.
    """
    from dataclasses import replace

    from skylift.client import cloud_stacks

    missing = [key for key in ("region", "account") if getattr(wish, key) is None]
    if missing and not may_ask:
        said = " and ".join(f"--{key}" for key in missing)
        raise click.UsageError(
            f"target {wish.target} needs {said}; without a terminal, or with --yes, nothing is asked"
        )
    known = cloud_stacks.suggestions(wish.target)
    answers = {key: _prompt(wish.target, key, known.get(key)) for key in missing}
    wish = replace(wish, region=answers.get("region", wish.region), account=answers.get("account", wish.account))
    if wish.owner is None and may_ask:
        owner = click.prompt("Owner, who answers for the stack", default=_git_email(), show_default=True, err=True)
        wish = replace(wish, owner=owner or None)
    return wish


def _prompt(target: str, key: str, suggestion: str | None) -> str:
    from skylift.client import cloud_stacks
    from skylift.errors import SkyliftError

    def checked(value: str) -> str:
        try:
            cloud_stacks.check_place(target, key, value)
        except SkyliftError as error:
            raise click.BadParameter(error.message) from None
        return value

    answer: str = click.prompt(cloud_stacks.question(target, key), default=suggestion, value_proc=checked, err=True)
    return answer


def _git_email() -> str:
    try:
        done = subprocess.run(["git", "config", "user.email"], capture_output=True, text=True, check=False)
    except OSError:
        return ""  # no git, no suggestion
    return done.stdout.strip()


def _tell(folder: Path, wish: Wish, written: list[Path], *, as_json: bool) -> None:
    from skylift.cli import _render
    from skylift.client import cloud_stacks

    install = cloud_stacks.install_command(written[-1].parents[1], wish.target)
    if as_json:
        _render.print_json(
            {
                "stack": wish.name,
                "target": wish.target,
                "written": [str(path) for path in written],
                "install": install,
                "backend": wish.backend,
                "secrets_provider": wish.secrets_provider,
            }
        )
        return
    for path in written:
        click.echo(f"wrote {path}")
    _render.fields([("state", wish.backend), ("secrets by", wish.secrets_provider)])
    if wish.backend and not wish.backend.startswith("file://") and not wish.secrets_provider:
        click.echo(
            "note: secrets in this state are encrypted by the passphrase in .skylift, which others lack; give --secrets-provider",
            err=True,
        )
    steps = [(install, f"installs what target {wish.target} needs")] if install else []
    if wish.target == "local":
        steps += [
            (f"skylift up {wish.name}", "brings the stack up"),
            ("skylift doctor", "shows what this machine lacks"),
        ]
    else:
        steps += [(f"skylift preview {wish.name}", "shows what it would make"), (f"skylift up {wish.name}", "makes it")]
    _render.next_steps(*steps)
