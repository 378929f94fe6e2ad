"""`training recipes`: what there is to train, and what each recipe takes. Imports no TensorFlow unless a user's recipe does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from skylift.errors import RecipeError
from training.contract import Task
from training.recipes.hyperparameters import all_fields
from training.recipes.loading import BUNDLED, LoadedRecipe, bundled, from_code


def describe(recipe: LoadedRecipe) -> dict[str, Any]:
    """Name, summary, task and typed hyperparameters as plain values."""
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "task": _task(recipe.task(recipe.hyperparameters())),
        "hyperparameters": [field.to_dict() for field in all_fields(recipe.hyperparameters)],
    }


def choose(name: str | None, file: Path | None, root: Path | None, module: str | None) -> list[LoadedRecipe]:
    """The recipes that the options of the command name; without any, all that are bundled."""
    if file is not None:
        if not file.is_file():
            raise RecipeError(f"there is no recipe file {file}", hint="check the path")
        return [from_code(file.parent, file.stem)]
    if (root is None) != (module is None):
        raise RecipeError("--code-root and --module go together", hint="give both, or --file")
    if root is not None and module is not None:
        return [from_code(root, module)]
    return [bundled(each) for each in ([name] if name else BUNDLED)]


def render(described: list[dict[str, Any]], *, as_json: bool, one: bool) -> str:
    """JSON (a list; an object where one recipe was asked for), or lines for people."""
    if as_json:
        return json.dumps(described[0] if one else described, indent=1)
    return "\n\n".join(_lines(each) for each in described)


def _lines(described: dict[str, Any]) -> str:
    rows = [f"{described['name']}  {described['summary']}"]
    for field in described["hyperparameters"]:
        name = f"{field['name']} ({field['short']})" if "short" in field else field["name"]
        rows.append(f"  {name:<20} {field['type']:<6} {field['default']!s:<10} {field['help']}")
    return "\n".join(rows)


def _task(task: Task) -> dict[str, Any]:
    return {
        "kind": task.kind,
        "loss": task.loss,
        "metrics": list(task.metrics),
        "labels": list(task.labels),
        "unit": task.unit,
        "input_kind": task.input_kind,
        "input_names": list(task.input_names),
        "inputs": [{"name": each.name, "dtype": each.dtype, "shape": list(each.shape)} for each in task.inputs],
    }
