"""What differs between the inputs of before and now, by path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.clouds.values import Unknown


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """Paths of leaves that were added, changed or removed: `{"rules[0].days": "update"}`. What is not yet known counts as changed."""
    return dict(_object(before, after, ""))


def _object(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key in sorted({*before, *after}):
        if not key.startswith("__"):
            yield from _value(before.get(key), after.get(key), f"{prefix}.{key}" if prefix else key)


def _value(before: Any, after: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(after, Unknown) or isinstance(before, Unknown):
        yield path, "update"
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        yield from _object(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        for at in range(max(len(before), len(after))):
            old = before[at] if at < len(before) else None
            new = after[at] if at < len(after) else None
            yield from _value(old, new, f"{path}[{at}]")
    elif before != after:
        yield path, "add" if before is None else "delete" if after is None else "update"
