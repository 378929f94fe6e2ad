"""A command line of tensorflow_model_server as names and values.

`--flag=value` as the original has it, and `--flag value` and `--noflag` too. Of a flag that is given twice the last value counts.
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/command_line_flags.cc
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from serving.flags.table import ALIASES, COMMON, FLAGS, Flag, Value
from skylift.errors import InputError, nearest

HINT = "`--help` beside any of these flags lists them; docs/serving-sources.md says what becomes of each"
_WORDS = {"true": True, "1": True, "false": False, "0": False}
_INTEGERS = (-(1 << 63), (1 << 63) - 1)


@dataclass
class Given:
    """What was given.

    Args:
        values: by flag, only those that were given.
        own: options of our own that stand between, as they were written.
    """

    values: dict[str, Value] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)
    wants_help: bool = False
    mistakes: list[str] = field(default_factory=list)


def is_tensorflow_serving(arguments: Sequence[str]) -> bool:
    """Whether a command line is tensorflow_model_server's: it has a flag that ours has not, or one written as all of its are."""
    names = (_parts(one)[0] for one in arguments if one.startswith("--"))
    return any("_" in name or (_flag_of(name) is not None and name not in COMMON) for name in names)


def read(arguments: Sequence[str], own: Mapping[str, bool]) -> Given:
    """Names and values, and what is wrong with them.

    Args:
        own: options of ours that may stand between, without dashes; True for those that take a value.
    """
    given, rest = Given(), list(arguments)
    while rest:
        argument = rest.pop(0)
        name, value = _parts(argument)
        flag = _flag_of(name)
        if not argument.startswith("--") or not name:
            given.mistakes.append(f"{argument!r} is no flag")
        elif name == "help":
            given.wants_help = True
        elif flag is not None:
            _take(given, name, value, rest)
        elif name in own:
            given.own.append(argument)
            if own[name] and value is None and rest:
                given.own.append(rest.pop(0))
        else:
            guess = nearest(name, [*FLAGS, *own])
            given.mistakes.append(f"there is no flag --{name}" + (f": is --{guess} meant?" if guess else ""))
    return given


def check(mistakes: Sequence[str]) -> None:
    """
    Raises:
        InputError: names them all.
    """
    if mistakes:
        raise InputError("; ".join(mistakes), hint=HINT, details={"mistakes": list(mistakes)})


def _parts(argument: str) -> tuple[str, str | None]:
    name, equals, value = argument.removeprefix("--").partition("=")
    return name, value if equals else None


def _flag_of(name: str) -> tuple[str, Flag] | None:
    """The flag that a name means, `no` before a boolean one included."""
    plain = ALIASES.get(name, name)
    if plain in FLAGS:
        return plain, FLAGS[plain]
    negated = ALIASES.get(name[2:], name[2:])
    if name.startswith("no") and negated in FLAGS and FLAGS[negated].kind == "boolean":
        return negated, FLAGS[negated]
    return None


def _take(given: Given, name: str, value: str | None, rest: list[str]) -> None:
    found = _flag_of(name)
    assert found is not None
    plain, flag = found
    is_negated = ALIASES.get(name, name) != plain
    if is_negated and value is not None:
        given.mistakes.append(f"--{name} takes no value")
        return
    if is_negated:
        value = "false"
    elif flag.kind == "boolean" and value is None:
        value = rest.pop(0) if rest and rest[0].lower() in _WORDS else "true"
    elif value is None:
        if not rest or rest[0].startswith("--"):
            given.mistakes.append(f"--{name} has no value")
            return
        value = rest.pop(0)
    try:
        given.values[plain] = _converted(flag, value)
    except (ValueError, KeyError):
        wanted = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "text": "a text"}
        given.mistakes.append(f"--{name} is {value!r}, expected is {wanted[flag.kind]}")


def _converted(flag: Flag, value: str) -> Value:
    if flag.kind == "boolean":
        return _WORDS[value.lower()]
    if flag.kind == "integer":
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", value) or not _INTEGERS[0] <= int(value) <= _INTEGERS[1]:
            raise ValueError
        return int(value)
    return float(value) if flag.kind == "number" else value
