from __future__ import annotations

from pathlib import Path

import click

from skylift.cli._options import common


@click.command("init", short_help="Write a new stack file, and a project if there is none.")
@click.argument("name", default="local")
@click.option(
    "--target", type=click.Choice(["local"]), default="local", show_default=True, help="Where the stack runs."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="The endpoint's port. Default: 8501 if it is free, else any."
)
@click.option("--owner", help="Who answers for the stack.")
@click.option("--disposable", is_flag=True, help="Let `down` delete the stack's data too.")
@common
@click.pass_context
def command(
    ctx: click.Context, name: str, target: str, port: int | None, owner: str | None, disposable: bool, as_json: bool
) -> None:
    """Write the file of a new stack NAME (default: local), and in a folder without a project the project around it.

    Nothing that exists is overwritten.
    """
    from skylift.cli import _render
    from skylift.cli._group import App
    from skylift.client import projects

    folder = ctx.ensure_object(App).project or Path.cwd()
    wish = projects.Wish(name=name, target=target, port=port, owner=owner, is_disposable=disposable)
    written = projects.init(folder, wish)
    if as_json:
        _render.print_json({"stack": name, "written": [str(path) for path in written]})
        return
    for path in written:
        click.echo(f"wrote {path}")
    _render.next_steps(
        (f"skylift up {name}", "brings the stack up"), ("skylift doctor", "shows what this machine lacks")
    )
