"""Spares a short program three costs of Pulumi's SDK. Each is worth a tenth of a preview or more; none changes what is registered.

- Python looks for cycles among some 100,000 objects of the SDK again and again while more are imported.
- The SDK sends four debug messages a resource to the engine and waits for each. They show with `--debug` alone, which a program cannot
  see: SKYLIFT_EAGER=1 has them sent.
- It computes the URN of each alias of a resource, of which azure-native declares twenty each, for engines of before 2022.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Generator
from typing import Any

import pulumi

_COLLECT_AFTER = 100_000
"""New objects between two searches for cycles, of which Python counts 700."""


def install() -> None:
    """For the rest of this process."""
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 100)
    pulumi.log.debug = _silent
    collapse: Callable[..., pulumi.Output[str]] | None = getattr(pulumi.resource, "collapse_alias_to_urn", None)
    if collapse is not None:
        setattr(pulumi.resource, "collapse_alias_to_urn", functools.partial(_Later, collapse))  # noqa: B010 - of another type


def _silent(*_arguments: Any, **_options: Any) -> None:
    pass


class _Later:
    """An alias's URN, computed if it is ever awaited: the SDK does so for engines that take URNs only."""

    def __init__(self, collapse: Callable[..., pulumi.Output[str]], *arguments: Any) -> None:
        self._collapse, self._arguments = collapse, arguments

    def __await__(self) -> Generator[Any, None, str | None]:
        return self._collapse(*self._arguments).future().__await__()
