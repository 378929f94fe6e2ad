from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skylift.cli._options import common, confirm, yes_option

if TYPE_CHECKING:
    from skylift.artifacts.access import KeyEntry, Verb

file_option = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("access.json"),
    show_default=True,
    help="The access document.",
)


@click.group("keys", short_help="Make, list and revoke API keys of endpoints.")
def command() -> None:
    """Make, list and revoke API keys of endpoints.

    Keys lie as hashes in an access document, a JSON file that servers are given by path (SKYLIFT_API_KEYS) or by a cloud's secret store.
    """


@command.command("add")
@click.argument("name")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="PATTERN",
    help="Models it may ask for, such as `mnist*`; more than once. Default: all.",
)
@click.option(
    "--verb",
    "verbs",
    multiple=True,
    type=click.Choice(["predict", "metadata", "admin"]),
    help="What it may do; more than once. Default: predict and metadata.",
)
@click.option("--rate", type=float, help="Requests per second that it may send to one replica.")
@click.option("--burst", type=int, help="How many of them may come at once. Default: those of one second.")
@click.option("--expires", metavar="WHEN", help="When it ends: 12h, 90d, 52w, 2027-01-31. Default: never.")
@file_option
@common
def add(
    name: str,
    models: tuple[str, ...],
    verbs: tuple[Verb, ...],
    rate: float | None,
    burst: int | None,
    expires: str | None,
    path: Path,
    as_json: bool,
) -> None:
    """Make a key for NAME and print its token, once.

    A second key of the same name counts beside the first: hand it out, then revoke the other by its id.
    """
    from skylift.artifacts import access
    from skylift.cli import _render
    from skylift.client import keys

    until = keys.moment(expires) if expires else None
    token, key = keys.add(path, name, models=models, verbs=verbs or access.USUAL, rate=rate, burst=burst, expires=until)
    if as_json:
        _render.print_json({"token": token, "key": _shown(key), "file": str(path)})
        return
    click.echo(token)
    click.echo(f"\nthis token of {name} is shown once; {path} holds its hash (id {key.id})", err=True)


@command.command("list")
@file_option
@common
def list_command(path: Path, as_json: bool) -> None:
    """List the keys of a document."""
    from skylift.artifacts.access import is_expired
    from skylift.cli import _render
    from skylift.client import keys

    found = keys.read(path).keys
    if as_json:
        _render.print_json([_shown(key) for key in found])
        return
    rows = [
        (
            key.id,
            key.name,
            ", ".join(key.models) or "all",
            ", ".join(key.verbs),
            "" if key.rate is None else f"{key.rate:g}/s",
            _render.ago(key.created),
            "" if key.expires is None else f"{key.expires:%Y-%m-%d %H:%M}{' (over)' if is_expired(key) else ''}",
        )
        for key in found
    ]
    columns = ["id", "name", "~models", "~may", ">rate", ">made", "ends"]
    _render.table(columns, rows, empty="no keys yet: `skylift keys add NAME`")


@command.command("revoke")
@click.argument("key", metavar="ID|NAME")
@file_option
@yes_option
@common
def revoke(key: str, path: Path, yes: bool, as_json: bool) -> None:
    """Take a key away: servers that follow the file refuse it within seconds."""
    from skylift.cli import _render
    from skylift.client import keys

    found = keys.find(path, key)
    confirm(f"Revoke the key {found.id} of {found.name}?", yes=yes)
    gone = keys.revoke(path, found.id)
    if as_json:
        _render.print_json({"revoked": _shown(gone), "file": str(path)})
        return
    click.echo(f"the key {gone.id} of {gone.name} is revoked in {path}")


def _shown(key: KeyEntry) -> dict[str, Any]:
    """All but the hash, which is of use to nobody."""
    return {name: getattr(key, name) for name in key.__struct_fields__ if name != "sha256"}
