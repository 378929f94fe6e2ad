from __future__ import annotations

import sys

import click

from skylift.cli._options import common


@click.group("secret", short_help="Keep the values that runs need and records must not hold.")
def command() -> None:
    """Keep values for `train --secret NAME`: in your keyring, else in a file that only you can read."""


@command.command("set")
@click.argument("name")
@common
@click.pass_context
def set_command(ctx: click.Context, name: str, as_json: bool) -> None:
    """Ask for a value and keep it. On a pipe it is read from standard input; it is never an argument."""
    from skylift.cli import _render
    from skylift.cli._options import _project
    from skylift.errors import InputError
    from skylift.launch import secrets

    secrets.check_name(name)
    value = (
        click.prompt(f"Value of {name}", hide_input=True, err=True)
        if sys.stdin.isatty()
        else sys.stdin.read().rstrip("\n")
    )
    if not value:
        raise InputError("the value is empty", hint="pipe it in: `pass show key | skylift secret set NAME`")
    where = secrets.store(_project(ctx), name, value)
    if as_json:
        _render.print_json({"name": name, "kept_in": where})
        return
    click.echo(f"{name} is kept in {where}")
    _render.next_steps((f"skylift train RECIPE --secret {name}", "hands it to a run as an environment variable"))


@command.command("remove")
@click.argument("name")
@common
@click.pass_context
def remove(ctx: click.Context, name: str, as_json: bool) -> None:
    """Forget a value."""
    from skylift.cli import _render
    from skylift.cli._options import _project
    from skylift.launch import secrets

    secrets.remove(_project(ctx), name)
    if as_json:
        _render.print_json({"name": name, "removed": True})
        return
    click.echo(f"{name} is forgotten")
