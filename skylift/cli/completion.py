from __future__ import annotations

import os
from pathlib import Path

import click

from skylift.cli._options import common


@click.command("completion", short_help="Print the script that completes commands in your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), required=False)
@common
@click.pass_context
def command(ctx: click.Context, shell: str | None, as_json: bool) -> None:
    """Print a completion script: `eval "$(skylift completion)"` in your shell's start file."""
    from click.shell_completion import get_completion_class

    from skylift.cli import _render

    shell = shell or Path(os.environ.get("SHELL", "bash")).name
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}; name one of bash, zsh, fish")
    script = kind(ctx.find_root().command, {}, "skylift", "_SKYLIFT_COMPLETE").source()
    if as_json:
        _render.print_json({"shell": shell, "script": script})
        return
    click.echo(script)
