"""Typed access to a message in protobuf's text format, which tells every mistake with its line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from serving.sources.prototext import Block, Field, Mistakes
from skylift.errors import nearest

LEAST, MOST = -(1 << 63), (1 << 63) - 1
T = TypeVar("T")


class Reader:
    """Typed access to a block. Mistakes are collected, and a field that has one counts as absent.

    Args:
        known: the fields that the message has; others are mistakes. True for those that may be repeated.
    """

    def __init__(self, block: Block, what: str, known: Mapping[str, bool], mistakes: Mistakes) -> None:
        self.line = block.line
        self.mistakes = mistakes
        self._fields: dict[str, list[Field]] = {}
        for one in block.fields:
            if one.name not in known:
                guess = nearest(one.name, known)
                mistakes.add(
                    one.line, f"{what} has no field {one.name!r}" + (f": is {guess!r} meant?" if guess else "")
                )
            elif one.name in self._fields and not known[one.name]:
                mistakes.add(one.line, f"{one.name!r} is given twice, first in line {self._fields[one.name][0].line}")
            else:
                self._fields.setdefault(one.name, []).append(one)

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def line_of(self, name: str) -> int:
        return self._fields[name][0].line if name in self._fields else self.line

    def blocks(self, name: str) -> Iterable[Block]:
        for one in self._fields.get(name, ()):
            if isinstance(one.value, Block):
                yield one.value
            else:
                self.mistakes.add(one.line, f"{name!r} is a block: write {name} {{ … }}")

    def block(self, name: str) -> Block | None:
        return next(iter(self.blocks(name)), None)

    def text(self, name: str, default: str = "") -> str:
        return self._one(name, _text, "a text in quotes", default)

    def boolean(self, name: str, default: bool = False) -> bool:
        return self._one(name, _BOOLEANS.__getitem__, "true or false", default)

    def number(self, name: str, default: float = 0.0) -> float:
        return self._one(name, float, "a number", default)

    def integer(self, name: str, default: int = 0, least: int = LEAST, most: int = MOST) -> int:
        return next(iter(self.integers(name, least, most)), default)

    def integers(self, name: str, least: int = LEAST, most: int = MOST) -> list[int]:
        found = self._all(name, _integer, "a whole number")
        for line, value in found:
            if not least <= value <= most:
                self.mistakes.add(line, f"{name!r} is {value}, which is not within {least} to {most}")
        return [value for _, value in found if least <= value <= most]

    def wrapped(self, name: str) -> Reader | None:
        """The `value` of one of protobuf's wrappers: `max_batch_size { value: 128 }`."""
        block = self.block(name)
        return Reader(block, name, {"value": False}, self.mistakes) if block is not None else None

    def word(self, name: str, known: Iterable[str], default: str) -> str:
        """A value of an enumeration."""
        names = list(known)
        return self._one(name, lambda token: names[names.index(token)], f"one of {', '.join(names)}", default)

    def _one(self, name: str, convert: Callable[[str], T], expected: str, default: T) -> T:
        return next((value for _, value in self._all(name, convert, expected)), default)

    def _all(self, name: str, convert: Callable[[str], T], expected: str) -> list[tuple[int, T]]:
        found = []
        for one in self._fields.get(name, ()):
            try:
                if isinstance(one.value, Block):
                    raise ValueError
                is_text = one.value[0] == '"'
                if is_text is not (convert is _text):
                    raise ValueError
                found.append((one.line, convert("".join(one.value[1:] if is_text else one.value))))
            except (ValueError, KeyError):
                self.mistakes.add(one.line, f"{name!r} is {_shown(one.value)}, expected is {expected}")
        return found


_BOOLEANS = {"true": True, "True": True, "t": True, "1": True, "false": False, "False": False, "f": False, "0": False}


def _text(value: str) -> str:
    return value


def _integer(token: str) -> int:
    digits = token.lstrip("-")
    is_octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
    if not (digits[:2].lower() == "0x" or (digits.isascii() and digits.isdigit())):
        raise ValueError
    return int(token, 8 if is_octal else 16 if digits[:2].lower() == "0x" else 10)


def _shown(value: Block | tuple[str, ...]) -> str:
    if isinstance(value, Block):
        return "a block"
    return repr("".join(value[1:])) if value[0] == '"' else value[0]
