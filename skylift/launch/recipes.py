"""What the training program says of recipes. skylift never imports a recipe: it asks the program that will run it."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from skylift.errors import InputError, MachineError, nearest, not_found
from skylift.launch.asking import ask_training


class Hyperparameter(msgspec.Struct, frozen=True):
    """One field of a recipe's Hyperparameters. `type` is int, float, bool or str; limits are inclusive; `short` sets it, too."""

    name: str
    type: str
    default: Any
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: list[Any] = []
    short: str = ""


class Recipe(msgspec.Struct, frozen=True):
    name: str
    summary: str
    hyperparameters: list[Hyperparameter]
    task: dict[str, Any] = {}


def bundled() -> list[Recipe]:
    """The recipes that come with skylift."""
    return msgspec.convert(_ask([]), list[Recipe])


def describe(name: str) -> Recipe:
    """A bundled recipe.

    Raises:
        NotFoundError: there is none of that name; near misses are named.
    """
    known = {recipe.name: recipe for recipe in bundled()}
    if name not in known:
        raise not_found(
            "recipe",
            name,
            known,
            hint="`skylift recipes` lists them; a recipe of your own is given by path: --recipe path/to/file.py",
        )
    return known[name]


def describe_code(root: str, module: str) -> Recipe:
    """A recipe of the user's, imported by the training program from the folder `root`.

    Raises:
        RecipeError: it cannot be imported or breaks the contract.
    """
    return msgspec.convert(_ask(["--code-root", root, "--module", module]), Recipe)


def parse(recipe: Recipe, given: Mapping[str, str]) -> dict[str, Any]:
    """Typed hyperparameters by their full names, from `name=value` texts.

    Raises:
        InputError: names that the recipe does not have, values of a wrong type or outside their limits, all at once.
    """
    fields = {field.name: field for field in recipe.hyperparameters}
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    short = {field.short: field for field in recipe.hyperparameters if field.short}
    for name, text in given.items():
        field = fields.get(name) or short.get(name)
        if field is None:
            near = nearest(name, fields)
            mistakes.append(f"{name} is none of its hyperparameters" + (f"; did you mean {near!r}?" if near else ""))
            continue
        if field.name in values:
            mistakes.append(f"{field.short} and {field.name} are the same: give one of them")
            continue
        try:
            values[field.name] = convert(text, field.type)
        except ValueError:
            mistakes.append(f"{name} = {text!r} must be {_ARTICLES.get(field.type, field.type)}")
            continue
        limit = out_of_limits(values[field.name], field)
        if limit:
            mistakes.append(f"{name} = {text!r} must be {limit}")
    if mistakes:
        listed = ", ".join(f"{field.name} ({field.type}, {field.default!r})" for field in fields.values())
        raise InputError(
            f"recipe {recipe.name!r}: " + "; ".join(mistakes),
            hint=f"it has {listed}" if listed else "it has none",
            details={"recipe": recipe.name, "mistakes": mistakes},
        )
    return values


_ARTICLES = {"int": "a whole number", "float": "a number", "bool": "true or false"}


def convert(text: str, kind: str) -> Any:
    """A text as that type. Raises ValueError."""
    if kind == "bool":
        words = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]
    value = {"int": int, "float": float}.get(kind, str)(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(text)  # JSON has no word for it
    return value


def out_of_limits(value: Any, field: Hyperparameter) -> str:
    """What the value must be and is not (`at least 1`), or nothing."""
    if field.choices and value not in field.choices:
        return f"one of {', '.join(repr(choice) for choice in field.choices)}"
    if isinstance(value, int | float):
        if field.minimum is not None and value < field.minimum:
            return f"at least {field.minimum:g}"
        if field.maximum is not None and value > field.maximum:
            return f"at most {field.maximum:g}"
    return ""


def _ask(arguments: Sequence[str]) -> Any:
    require_training()
    return ask_training(["recipes", *arguments])


def require_training() -> None:
    """Raises MachineError where TensorFlow is not installed, without importing it."""
    if importlib.util.find_spec("tensorflow") is None:
        raise MachineError(
            "TensorFlow is not installed, which training on this machine needs",
            hint="`pip install 'skylift[train]'`, or `uv sync` in a checkout",
        )
