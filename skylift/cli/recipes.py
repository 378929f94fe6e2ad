from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skylift.cli._options import common

if TYPE_CHECKING:
    from skylift.launch.recipes import Hyperparameter


@click.command("recipes", short_help="List what can be trained, and its hyperparameters.")
@click.argument("name", required=False)
@common
def command(name: str | None, as_json: bool) -> None:
    """List the bundled recipes; with a NAME (or the path of a recipe of yours) show its hyperparameters."""
    from pathlib import Path

    from skylift.cli import _render
    from skylift.launch import code, recipes

    if name is None:
        found = recipes.bundled()
    elif code.is_own(name):
        packed = code.pack(name, Path.cwd())
        found = [recipes.describe_code(str(packed.root), packed.module)]
    else:
        found = [recipes.describe(name)]
    if as_json:
        _render.print_json(found)
        return
    if name is None:
        _render.table(["recipe", "~what it learns"], [(recipe.name, recipe.summary) for recipe in found], empty="none")
        _render.next_steps(("skylift recipes mnist", "shows its hyperparameters"), ("skylift train mnist", "trains it"))
        return
    for recipe in found:
        _render.heading(recipe.name)
        click.echo(recipe.summary)
        rows = [(_set(field), field.default, field.type, field.help) for field in recipe.hyperparameters]
        _render.table(["hyperparameter", ">default", "type", "~meaning"], rows, empty="no hyperparameters")
    _render.next_steps((f"skylift train {found[0].name}", "trains it"))


def _set(field: Hyperparameter) -> str:
    return f"--set {field.name}=" + (f" or {field.short}=" if field.short else "")
