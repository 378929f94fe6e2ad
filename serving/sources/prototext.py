"""Protobuf's text format (https://protobuf.dev/reference/protobuf/textformat-spec/) with the line of every field.

protobuf's own parser stops at the first mistake and keeps no lines; so only its tokenizer is used, and all mistakes of a file are told
at once, but for one of the form itself, behind which nothing can be told. protobuf is imported when such a file is read, not before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skylift.errors import InputError, NotFoundError

if TYPE_CHECKING:
    Tokenizer = Any

MOST_NESTED = 50


@dataclass
class Block:
    """A message as it is written: fields in order."""

    line: int
    fields: list[Field] = field(default_factory=list)


@dataclass(frozen=True)
class Field:
    """`value` is a block, or the tokens of a scalar (more than one for a text in parts)."""

    name: str
    line: int
    value: Block | tuple[str, ...]


class Mistakes:
    """What is wrong with a file, each with its line.

    Args:
        where: the file's name; `hint`: where it is described.
    """

    def __init__(self, where: str, hint: str) -> None:
        self._where = where
        self._hint = hint
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, text: str) -> None:
        self._found.append((line, text))

    def check(self) -> None:
        """
        Raises:
            InputError: names all that was added.
        """
        if not self._found:
            return
        found = sorted(self._found, key=lambda one: one[0])
        listed = [f"line {line}: {text}" if line else text for line, text in found]
        details = {"where": self._where, "mistakes": listed}
        raise InputError(f"{self._where}: " + "; ".join(listed), hint=self._hint, details=details)


def read_file(path: Path) -> str:
    """
    Raises:
        NotFoundError: there is no such file.
        InputError: it is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, IsADirectoryError):
        raise InputError(f"{path} is no text file", hint="it should hold a message in protobuf's text format") from None
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}", hint="check the path that was given") from None


def parse(text: str, mistakes: Mistakes) -> Block:
    """The fields of a text.

    Raises:
        InputError: it is not of that form.
    """
    from google.protobuf.text_format import ParseError, Tokenizer  # type: ignore[import-untyped]

    whole, lines = Block(1), text.split("\n")
    try:
        _fields(Tokenizer(lines), whole, "", 0)
    except ParseError as error:
        line = error.GetLine() or 0
        quoted = f"'{lines[line - 1]}': " if 0 < line <= len(lines) else "'': "
        reason = str(error).partition(" : ")[2].removeprefix(quoted).removeprefix("'': ").rstrip(".")
        mistakes.add(line, reason)
        mistakes.check()
    return whole


def _fields(tokens: Tokenizer, block: Block, end: str, depth: int) -> None:
    while not tokens.TryConsume(end) if end else not tokens.AtEnd():
        line = _line(tokens)
        if tokens.AtEnd():
            raise tokens.ParseError(f"'{end}' is missing for the block that begins in line {block.line}")
        name = _name(tokens)
        has_colon = tokens.TryConsume(":")
        if tokens.TryConsume("["):
            while not tokens.TryConsume("]"):
                block.fields.append(Field(name, _line(tokens), _value(tokens, depth, has_colon)))
                if not tokens.LookingAt("]"):
                    tokens.Consume(",")
        else:
            block.fields.append(Field(name, line, _value(tokens, depth, has_colon)))
        _ = tokens.TryConsume(",") or tokens.TryConsume(";")


def _name(tokens: Tokenizer) -> str:
    if not tokens.TryConsume("["):
        name: str = tokens.ConsumeIdentifier()
        return name
    parts = []  # an extension's name, or the type of an Any
    while not tokens.TryConsume("]"):
        parts.append(tokens.token)
        if tokens.AtEnd():
            raise tokens.ParseError("']' is missing")
        tokens.NextToken()
    return f"[{''.join(parts)}]"


def _value(tokens: Tokenizer, depth: int, has_colon: bool) -> Block | tuple[str, ...]:
    for begin, end in (("{", "}"), ("<", ">")):
        if tokens.LookingAt(begin):
            if depth == MOST_NESTED:
                raise tokens.ParseError("it is nested too deeply")
            block = Block(_line(tokens))
            tokens.NextToken()
            _fields(tokens, block, end, depth + 1)
            return block
    if not has_colon:
        raise tokens.ParseError(f"':' or '{{' is expected, not {tokens.token!r}")
    if tokens.token[:1] in ("'", '"'):
        text = [tokens.ConsumeString()]
        while tokens.token[:1] in ("'", '"'):
            text.append(tokens.ConsumeString())
        return ('"', *text)
    scalar = tokens.token
    if not (scalar[:1].isalnum() or scalar[:1] in ("-", ".", "_")):
        raise tokens.ParseError(f"a value is expected, not {scalar!r}")
    tokens.NextToken()
    if scalar == "-":
        scalar += tokens.token
        tokens.NextToken()
    return (scalar,)


def _line(tokens: Tokenizer) -> int:
    line: int = tokens.ParseError("").GetLine()
    return line
