from __future__ import annotations

from pathlib import Path

import click

from skylift.cli._options import common

_MARKS = {"ok": ("✓", "green"), "warn": ("·", "yellow"), "missing": ("✗", "red")}


@click.command("doctor", short_help="Show what this machine has and lacks, with a fix for each gap.")
@common
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show what this machine has and lacks, with a fix for each gap. Exit code 6 if something that everybody needs is missing."""
    from dataclasses import asdict

    from skylift.cli import _render
    from skylift.cli._group import App
    from skylift.engine.doctor import checks

    found = checks(ctx.ensure_object(App).project or Path.cwd())
    if as_json:
        _render.print_json({"checks": [asdict(one) for one in found]})
    else:
        width = max(len(one.name) for one in found)
        for one in found:
            mark, colour = _MARKS[one.level]
            click.echo(f"{click.style(mark, fg=colour)} {one.name.ljust(width)}  {one.found}")
            if one.fix:
                click.echo(f"  {' ' * width}  {click.style(one.fix, dim=True)}")
    if any(one.level == "missing" for one in found):
        ctx.exit(6)
