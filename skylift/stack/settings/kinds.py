"""What a setting takes, read from its annotation."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta, Struct, structs

from skylift.stack.settings.base import NAME_PATTERN, Section

SENTENCES = {
    bool: "must be true or false",
    int: "must be a whole number",
    float: "must be a number",
    str: "must be text; put it in quotes",
    list: "must be a list",
    dict: "must be a section with keys of its own",
    Section: "must be a section with keys of its own",
    Literal: "is not allowed",
}


class Kind(Struct, frozen=True):
    """An annotation taken apart.

    Args:
        plain: what stands innermost: `int`, `list[str]`, `Literal["a", "b"]`, a section.
        optional: whether None is taken.
        description: what the setting is, for docs/settings.md.
    """

    plain: Any
    optional: bool
    limits: tuple[Meta, ...]
    checks: tuple[Callable[[Any], Any], ...]
    description: str

    @property
    def shape(self) -> Any:
        """The key of SENTENCES that it falls under."""
        if isinstance(self.plain, type) and issubclass(self.plain, Section):
            return Section
        return get_origin(self.plain) or self.plain


def unfold(annotation: Any) -> Kind:
    marks: list[Any] = []
    optional = False
    while (origin := get_origin(annotation)) in (Annotated, Union, UnionType):
        if origin is Annotated:
            marks[:0] = annotation.__metadata__
            annotation = annotation.__origin__
        else:
            optional = True
            (annotation,) = (one for one in get_args(annotation) if one is not NoneType)
    return Kind(
        plain=annotation,
        optional=optional,
        limits=tuple(mark for mark in marks if isinstance(mark, Meta)),
        checks=tuple(mark for mark in marks if callable(mark)),
        description=next((mark for mark in marks if isinstance(mark, str)), ""),
    )


@cache
def fields(section: type[Section]) -> dict[str, structs.FieldInfo]:
    """The settings of a section by name."""
    return {field.name: field for field in structs.fields(section)}


def refusal(kind: Kind, given: object) -> str | None:
    """Why a value is not taken, by its type and the limits; what is inside of it is not looked at."""
    shape = kind.shape
    if not _is(shape, kind.plain, given):
        return SENTENCES[shape]
    return next((problem for limit in kind.limits if (problem := _beyond(limit, given))), None)


def _is(shape: Any, plain: Any, given: object) -> bool:
    if shape is Literal:
        return any(type(given) is type(one) and given == one for one in get_args(plain))
    if shape is float and isinstance(given, int) and not isinstance(given, bool):
        return abs(given) <= sys.float_info.max
    return type(given) is (dict if shape is Section else shape)


def _beyond(limit: Meta, given: Any) -> str | None:
    if isinstance(given, list):
        most = limit.max_length
        return f"may hold {most} at the most" if most is not None and len(given) > most else None
    return _text(limit, given) if isinstance(given, str) else _number(limit, given)


def _number(limit: Meta, given: float) -> str | None:
    if limit.gt is not None and not given > limit.gt:
        return f"must be more than {limit.gt}"
    if limit.ge is not None and not given >= limit.ge:
        return f"must be at least {limit.ge}"
    if limit.le is not None and not given <= limit.le:
        return f"must be at most {limit.le}"
    return None


def _text(limit: Meta, given: str) -> str | None:
    if limit.max_length is not None and len(given) > limit.max_length:
        return f"must be at most {limit.max_length} characters long"
    if limit.min_length is not None and len(given) < limit.min_length:
        return f"must be at least {limit.min_length} characters long"
    if limit.pattern is None:
        return None
    match = re.fullmatch if limit.pattern.endswith("$") else re.match  # `$` alone takes a line break at the end
    if match(limit.pattern, given):
        return None
    if limit.pattern == NAME_PATTERN:
        return "may hold a-z 0-9 . _ - only, and must begin and end with a letter or digit"
    return f"must be of the form {limit.pattern}"
