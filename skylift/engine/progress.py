"""How far the making of the engine has come, told by find, install and build alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class BuildProgress:
    """One step of getting the engine onto this machine.

    Args:
        done: packages compiled so far, 0 where that is not known.
        total: packages in all, 0 where that is not known.
        seconds_left: estimate [s]; None where there is none yet.
    """

    stage: str
    done: int = 0
    total: int = 0
    seconds_left: float | None = None


OnBuild = Callable[[BuildProgress], None]


def silent(_: BuildProgress) -> None:
    """Show nothing."""
