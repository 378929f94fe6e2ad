"""Headers that weigh alternatives: `Accept` and `Accept-Encoding` (RFC 9110, section 12.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

_KEPT = 256
_LONGEST = 2048
_MOST = 100
_PARAMETER = re.compile(r';\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,"\s]*)\s*')
_ITEM = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_WEIGHT = re.compile(r"[01](?:\.[0-9]{0,3})?|\.[0-9]{1,3}")  # Java's own client writes .2


@dataclass(frozen=True, slots=True)
class Item:
    """One alternative, in lower case, and how much it is wanted: 0 not at all, 1 most."""

    name: str
    weight: float = 1.0
    parameters: Mapping[str, str] = field(default_factory=dict)


def items(header: bytes) -> tuple[Item, ...]:
    """The alternatives in a header's order; what is malformed is passed over, as a client's taste is no reason to refuse."""
    return _items(header[:_LONGEST])


@lru_cache(maxsize=_KEPT)
def _items(header: bytes) -> tuple[Item, ...]:
    found = []
    for match in _ITEM.finditer(header.decode("latin-1")):
        item = split(match[0])
        parameters = dict(item.parameters)
        weight = parameters.pop("q", "1")
        if item.name and _WEIGHT.fullmatch(weight):
            found.append(Item(item.name, min(1.0, float(weight)), parameters))
        if len(found) >= _MOST:
            break
    return tuple(found)


def split(text: str) -> Item:
    """A name and its parameters, such as `text/csv; header=present`. Names are lower case, values as they stand."""
    name, mark, rest = text.partition(";")
    parameters = {}
    for key, value in _PARAMETER.findall(mark + rest):
        parameters[key.lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] == '"' else value
    return Item(name.strip().lower(), parameters=parameters)
