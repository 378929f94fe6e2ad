from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from skylift.cli._options import common, open_stack, stack_argument

if TYPE_CHECKING:
    from skylift.client.permissions import Permissions

PERSONS = ("up", "train", "release", "approve", "predict", "clean")


@click.command("permissions", short_help="Print the exact rights that somebody needs for a stack.")
@stack_argument
@click.option("--as", "person", type=click.Choice(PERSONS), required=True, help="What they are to do.")
@click.option("--reasons", is_flag=True, help="Show each right and what it is for, in place of the document.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write one file each into this folder and print the commands that use them.",
)
@common
@click.pass_context
def command(
    ctx: click.Context,
    stack_name: str | None,
    stack_flag: str | None,
    person: str,
    reasons: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Print the rights that a person or CI needs to do something with STACK, as the cloud's own document: no more than that.

    Nothing is asked of the cloud or changed there; the rights follow from the stack's file. What does not fit into one policy comes as a
    list of several. With --out the documents become files, and the commands that hand them over are printed. With --json everything comes
    together with the reason for each right.
    """
    from dataclasses import asdict

    from skylift.cli import _render
    from skylift.client.permissions import permissions

    stack = open_stack(ctx, stack_name, stack_flag)
    found = permissions(stack.project.stack_file(stack.name), stack.name, person)
    if out is not None:
        _write(out, found)
    if as_json:
        _render.print_json(asdict(found))
    elif reasons:
        rows = [[one["what"], " ".join(one["actions"]), " ".join(one["on"])] for one in found.grants]
        _render.table(["~to", "~right", "~on"], rows)
    elif not found.grants:
        click.echo(f"{person} on {stack.name}: nothing that the cloud would have to allow")
    elif out is not None:
        click.echo("\n".join([f"cd {quote(str(out))}", *found.commands]))
    else:
        _render.print_json(found.documents[0]["document"] if len(found.documents) == 1 else found.documents)
        click.echo(
            f"as files, with the commands that hand them over: skylift permissions {stack.name} --as {person} --out FOLDER",
            err=True,
        )


def _write(folder: Path, found: Permissions) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in found.files.items():
        (folder / name).write_text(text, encoding="utf-8")
