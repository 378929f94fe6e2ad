"""Builds sections from plain values and finds every mistake in them."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, get_args

from skylift.errors import nearest
from skylift.stack.settings.base import Section
from skylift.stack.settings.kinds import Kind, fields, refusal, unfold
from skylift.stack.settings.mistakes import Mistake

S = TypeVar("S", bound=Section)
Place = tuple[str, ...]


class Builder:
    """Goes through plain values once and keeps in `found` what is wrong with them.

    Args:
        prefix: of the keys in the mistakes.
    """

    def __init__(self, prefix: str) -> None:
        self.found: list[Mistake] = []
        self._prefix = prefix

    def section(self, section: type[S], raw: dict[str, Any], at: Place = ()) -> S | None:
        """The section; None if anything is wrong."""
        known, values = fields(section), {}
        for name, field in known.items():
            if name in raw:
                values[name] = self._value(field.type, raw[name], (*at, name))
            elif field.required:
                self._missing(unfold(field.type), (*at, name))
        for name in raw:
            if name not in known:
                self._unknown(raw[name], (*at, str(name)), section.names())
        return None if self.found else section(**values)

    def _value(self, annotation: Any, given: Any, at: Place) -> Any:
        """The value as it is kept; None if anything is wrong."""
        kind = unfold(annotation)
        if given is None and kind.optional:
            return None
        problem = refusal(kind, given)
        if problem is not None:
            return self._wrong(kind, given, at, problem)
        before = len(self.found)
        value = self._inside(kind, given, at)
        if len(self.found) > before:
            return None
        try:
            for check in kind.checks:
                value = check(value)
        except ValueError as error:
            return self._wrong(kind, given, at, str(error))
        return value

    def _inside(self, kind: Kind, given: Any, at: Place) -> Any:
        if kind.shape is Section:
            return self.section(kind.plain, given, at)
        if kind.shape is list:
            (item,) = get_args(kind.plain)
            return [self._value(item, one, (*at, str(index))) for index, one in enumerate(given)]
        if kind.shape is dict:
            key, item = get_args(kind.plain)
            return {
                self._value(key, name, (*at, str(name))): self._value(item, one, (*at, str(name)))
                for name, one in given.items()
            }
        return float(given) if kind.shape is float else given

    def _wrong(self, kind: Kind, given: object, at: Place, problem: str) -> None:
        mistake: Mistake = {"key": self._key(at), "given": given, "problem": problem}
        if kind.shape is Literal:
            mistake["allowed"] = [str(one) for one in get_args(kind.plain)]
            mistake["nearest"] = nearest(str(given), mistake["allowed"])
        self.found.append(mistake)

    def _missing(self, kind: Kind, at: Place) -> None:
        allowed = [str(one) for one in get_args(kind.plain)]
        self.found.append({"key": self._key(at), "problem": "is missing", "allowed": allowed})

    def _unknown(self, given: object, at: Place, known: tuple[str, ...]) -> None:
        near = nearest(at[-1], known)
        self.found.append(
            {
                "key": self._key(at),
                "given": given,
                "problem": "is no setting",
                "nearest": self._key((*at[:-1], near)) if near else None,
                "allowed": sorted(known),
            }
        )

    def _key(self, at: Place) -> str:
        return self._prefix + ".".join(at)
