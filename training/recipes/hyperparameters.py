"""Hyperparameters from plain values: typed, within their limits, every mistake listed at once."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from skylift.errors import RecipeError, nearest
from training.contract import Scalar
from training.loop.settings import LoopSettings

SHORT: dict[str, str] = {"learning_rate": "lr"}
"""What people call them on a command line; what is recorded is the full name."""

TYPES: dict[type, str] = {int: "int", float: "float", bool: "bool", str: "str"}
_WORDS: dict[str, bool] = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Field:
    """One hyperparameter. Limits are inclusive; None and () where there are none."""

    name: str
    type: type
    default: Scalar
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Scalar, ...] = ()
    short: str = ""
    """Another name to set it by."""

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "name": self.name,
            "type": TYPES[self.type],
            "default": self.default,
            "help": self.help,
        }
        more = {
            "minimum": self.minimum,
            "maximum": self.maximum,
            "choices": list(self.choices) or None,
            "short": self.short or None,
        }
        return plain | {name: value for name, value in more.items() if value is not None}


def problems_of(kind: Any) -> list[str]:
    """What is wrong with a recipe's `Hyperparameters`, one sentence each."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return ["Hyperparameters is no dataclass"]
    try:
        hints = get_type_hints(kind)
    except Exception as error:
        return [f"the types of Hyperparameters cannot be read: {error}"]
    wrong = []
    for field in dataclasses.fields(kind):
        if hints[field.name] not in TYPES:
            wrong.append(
                f"Hyperparameters.{field.name} is of type {_type_name(hints[field.name])}, not int, float, bool or str"
            )
        elif _has_no_default(field):
            wrong.append(f"Hyperparameters.{field.name} has no default")
        elif not _fits(_default(field), hints[field.name]):
            wrong.append(
                f"Hyperparameters.{field.name} has the default {_default(field)!r}, which is no {TYPES[hints[field.name]]}"
            )
    return wrong


def fields_of(kind: type[Any]) -> list[Field]:
    """The fields of a dataclass of hyperparameters, in order."""
    hints = get_type_hints(kind)
    return [_field(field, hints[field.name]) for field in dataclasses.fields(kind)]


def all_fields(kind: type[Any]) -> list[Field]:
    """A recipe's fields, then those of the loop that it does not declare itself.

    A recipe's bare field of the name and type of one of the loop's changes the default alone: help and limits stay the loop's.
    """
    loop = {field.name: field for field in fields_of(LoopSettings)}
    own = [_with_limits(field, loop.get(field.name)) for field in fields_of(kind)]
    taken = {field.name for field in own}
    return [_with_short(field, taken) for field in (*own, *(loop[name] for name in loop if name not in taken))]


def fill(recipe: str, kind: type[Any], given: Mapping[str, Any]) -> tuple[Any, LoopSettings, dict[str, Scalar]]:
    """The recipe's hyperparameters, the loop's settings, and all values by name with defaults filled in.

    Args:
        given: what was set, by full or short names; text is read as the field's type.

    Raises:
        RecipeError: unknown names, wrong types, values outside their limits: all at once.
    """
    fields = {field.name: field for field in all_fields(kind)}
    values: dict[str, Scalar] = {name: field.default for name, field in fields.items()}
    wrong = []
    short = {field.short: field for field in fields.values() if field.short}
    for name, value in given.items():
        field = fields.get(name) or short.get(name)
        if field is None:
            near = nearest(name, fields)
            wrong.append(f"{name}: no such hyperparameter" + (f", did you mean {near!r}?" if near else ""))
            continue
        if name == field.short and field.name in given:
            wrong.append(f"{name} and {field.name} are the same: give one of them")
            continue
        read = _read(value, field.type)
        problem = _problem(read, field) if read is not None else f"must be {_article(field.type)}"
        if problem:
            wrong.append(f"{name} = {value!r}: {problem}")
        elif read is not None:
            values[field.name] = read
    if wrong:
        raise RecipeError(
            f"recipe {recipe!r} cannot take these hyperparameters: " + "; ".join(wrong),
            hint=f"it takes {', '.join(fields)}; `skylift recipes {recipe}` explains each",
            details={"recipe": recipe, "problems": wrong, "known": list(fields)},
        )
    own = kind(**{field.name: values[field.name] for field in fields_of(kind)})
    loop: Any = {field.name: values[field.name] for field in fields_of(LoopSettings)}
    return own, LoopSettings(**loop), values


def _read(value: Any, kind: type) -> Scalar | None:
    """The value as that type, or None if it is none."""
    if isinstance(value, str) and kind is not str:
        try:
            return _WORDS[value.strip().lower()] if kind is bool else kind(value)
        except (ValueError, KeyError):
            return None
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(value, int | float | bool | str) and type(value) is kind:
        return value
    return None


def _problem(value: Scalar, field: Field) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if field.choices and value not in field.choices:
        near = nearest(str(value), map(str, field.choices))
        return f"must be one of {_listed(field.choices)}" + (f", did you mean {near!r}?" if near else "")
    if isinstance(value, str):
        return ""
    if field.minimum is not None and value < field.minimum:
        return f"must be at least {field.minimum}"
    if field.maximum is not None and value > field.maximum:
        return f"must be at most {field.maximum}"
    return ""


def _listed(values: Sequence[Scalar]) -> str:
    return ", ".join(map(str, values))


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[kind]


def _field(field: dataclasses.Field[Any], kind: Any) -> Field:
    known: dict[str, Any] = {
        name: field.metadata[name] for name in ("help", "minimum", "maximum", "choices") if name in field.metadata
    }
    return Field(field.name, kind, _default(field), **known)


def _with_limits(own: Field, loop: Field | None) -> Field:
    is_bare = not own.help and own.minimum is None and own.maximum is None and not own.choices
    if loop is None or loop.type is not own.type or not is_bare:
        return own
    return dataclasses.replace(loop, default=own.default)


def _with_short(field: Field, taken: set[str]) -> Field:
    short = SHORT.get(field.name, "")
    return field if short in taken else dataclasses.replace(field, short=short)


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _fits(value: Any, kind: type) -> bool:
    return type(value) is kind or (kind is float and type(value) is int)


def _type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
