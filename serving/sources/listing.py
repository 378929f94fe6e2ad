"""The files of one version, as they were seen at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from skylift.store import Stat


@dataclass(frozen=True)
class Listing:
    """A version's files.

    Args:
        sizes: by path [bytes].
        state: whatever changes when a file does: sizes with ETags, or with times.
        changed: when the last of them changed [s since 1970], by the clock of whoever holds them.
        objects: what a store knows of each file; empty on files.
    """

    sizes: Mapping[str, int]
    state: object
    changed: float
    objects: Mapping[str, Stat]
