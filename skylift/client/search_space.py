"""What a study searches: as it was written (`units=16..256:log`, `cell=lstm,gru`), or drawn from a recipe's hyperparameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skylift.artifacts.studies import Parameter
from skylift.errors import InputError, nearest
from skylift.launch.recipes import Hyperparameter, Recipe, convert, out_of_limits

SYNTAX = "NAME=LOW..HIGH, NAME=LOW..HIGH:log or NAME=A,B,C"

OF_THE_LOOP = frozenset(
    {
        "epochs",
        "schedule",
        "warmup_steps",
        "optimizer",
        "clip_norm",
        "class_weights",
        "patience",
        "checkpoint_seconds",
        "checkpoints_kept",
        "steps_per_call",
        "precision",
        "xla",
        "deterministic",
    }
)
"""Settings of the loop that are searched only on request: they cost time, or seldom decide."""

_SMALL = 8
"""Whole numbers below it count layers, heads and blocks, and must often fit others: they are searched on request."""


def parse(recipe: Recipe, written: Sequence[str], fixed: Iterable[str]) -> list[Parameter]:
    """The space that was written.

    Args:
        fixed: hyperparameters that have one value in all trials.

    Raises:
        InputError: every mistake at once, each with its parameter and what would work.
    """
    fields = {field.name: field for field in recipe.hyperparameters}
    short = {field.short: field for field in recipe.hyperparameters if field.short}
    space: dict[str, Parameter] = {}
    mistakes: list[str] = []
    for text in written:
        name, equals, values = text.partition("=")
        field = fields.get(name.strip()) or short.get(name.strip())
        if not equals or not values.strip():
            mistakes.append(f"{text!r} is no search: write {SYNTAX}")
        elif field is None:
            near = nearest(name, [*fields, *short])
            mistakes.append(f"{name} is none of its hyperparameters" + (f"; did you mean {near!r}?" if near else ""))
        elif field.name in space:
            mistakes.append(f"{field.name} is searched twice: give it one range or one list")
        elif field.name in fixed:
            mistakes.append(f"{field.name} is both set and searched: leave out `--set {field.name}=…` or its search")
        else:
            found = _parameter(field, values.strip())
            if isinstance(found, Parameter):
                space[field.name] = found
            else:
                mistakes.append(f"{field.name}: {found}")
    if mistakes:
        raise InputError(
            f"recipe {recipe.name!r} cannot be searched so: " + "; ".join(mistakes),
            hint=f"`skylift recipes {recipe.name}` lists its hyperparameters with their limits; a search is {SYNTAX}",
            details={"recipe": recipe.name, "mistakes": mistakes},
        )
    return list(space.values())


def _parameter(field: Hyperparameter, text: str) -> Parameter | str:
    """What is searched of a hyperparameter, or what is wrong with it."""
    if ".." in text and field.type in ("int", "float"):
        return _range(field, text)
    choices, wrong = [], []
    for each in (one.strip() for one in text.split(",")):
        try:
            value = convert(each, field.type)
        except ValueError:
            wrong.append(f"{each!r} is no {field.type}")
            continue
        limit = out_of_limits(value, field)
        if limit:
            wrong.append(f"{each} must be {limit}")
        elif value in choices:
            wrong.append(f"{each} is listed twice")
        choices.append(value)
    if wrong:
        return ", ".join(wrong)
    if len(choices) == 1:
        what = "a range such as 1..10" if field.type in ("int", "float") else "choices between commas"
        return f"{text!r} is one value: give {what}, or `--set {field.name}={text}`"
    return Parameter(name=field.name, type=field.type, choices=choices)


def _range(field: Hyperparameter, text: str) -> Parameter | str:
    numbers, _, scale = text.partition(":")
    if scale not in ("", "log"):
        return f"{scale!r} is no scale: `:log`, or nothing"
    try:
        low, high = (convert(each.strip(), field.type) for each in numbers.split(".."))
    except ValueError:
        kind = "whole numbers" if field.type == "int" else "numbers"
        return f"{numbers!r} is no range of {kind}: write LOW..HIGH"
    wrong = [f"{end:g} must be {limit}" for end in (low, high) if (limit := out_of_limits(end, field))]
    if field.choices:
        wrong = [f"it takes only {', '.join(map(str, field.choices))}: list some of them"]
    if low >= high:
        wrong.append(f"{low:g}..{high:g} has no values between its ends: the lower one comes first")
    if scale and low <= 0:
        wrong.append(f"a range on a logarithmic scale begins above 0, not at {low:g}")
    return ", ".join(wrong) or Parameter(name=field.name, type=field.type, low=low, high=high, log=bool(scale))


def derive(recipe: Recipe, fixed: Mapping[str, Any]) -> list[Parameter]:
    """What is worth searching of a recipe where nothing was written.

    The learning rate and the batch size; of the recipe's own fields choices and switches, sizes of layers (half, the same, double)
    and shares such as dropout. Not which rows are learned from (`…_share`, `…seed`), not what the inputs' shape says, and none
    that is fixed.

    Raises:
        InputError: nothing is left.
    """
    sides = {side for each in recipe.task.get("inputs", []) for side in each.get("shape", [])}
    space = []
    for field in recipe.hyperparameters:
        if field.name in fixed or field.name in OF_THE_LOOP or _chooses_data(field.name):
            continue
        if field.type == "int" and field.name != "batch_size" and field.default in sides:
            continue  # a window, a length: another shape is another model to serve
        found = _worth_searching(field)
        if found is not None:
            space.append(found)
    if not space:
        raise InputError(
            f"recipe {recipe.name!r} has no hyperparameter that is searched by itself",
            hint=f"say what to search: --search {SYNTAX}; `skylift recipes {recipe.name}` lists what there is",
        )
    return space


def _chooses_data(name: str) -> bool:
    return name.endswith(("_share", "seed"))


def _worth_searching(field: Hyperparameter) -> Parameter | None:
    if field.type == "bool":
        return Parameter(name=field.name, type="bool", choices=[False, True])
    if field.choices:
        return Parameter(name=field.name, type=field.type, choices=field.choices) if len(field.choices) > 1 else None
    if field.type == "int" and field.default >= _SMALL:
        sizes = [
            each for each in (field.default // 2, field.default, field.default * 2) if not out_of_limits(each, field)
        ]
        return Parameter(name=field.name, type="int", choices=sizes) if len(sizes) > 1 else None
    if field.type != "float":
        return None
    if field.minimum is not None and field.maximum is not None:
        high = min(field.maximum, max(2 * field.default, (field.minimum + field.maximum) / 2))
        return Parameter(name=field.name, type="float", low=field.minimum, high=round(high, 6))
    if field.default > 0:
        low, high = (_rounded(field.default * factor) for factor in (0.1, 10))
        low = max(low, field.minimum) if field.minimum else low
        return Parameter(name=field.name, type="float", low=low, high=min(high, field.maximum or high), log=True)
    return None


def _rounded(value: float) -> float:
    """Without the last bits that a product leaves: a tenth of 0.003 is 0.0003."""
    return float(f"{value:.6g}")
