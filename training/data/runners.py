"""Who does the steps: this process, one after the other, or Apache Beam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from training.data import steps

Tell = Callable[[int, int, str], None]
"""Told how much is done, of how much, and what is being done."""

TEXTS = {
    "survey": "looking at every row",
    "fingerprint": "hashing rows",
    "compare": "looking for copies",
    "write": "cleaning and writing",
}


class Runner(Protocol):
    """Does a step for every item; returns when all are done. `done` and `total` count bytes of the source over all steps."""

    def each(self, step: str, url: str, items: Sequence[msgspec.Struct]) -> None: ...


class InProcess:
    """One item after the other, in constant memory."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def each(self, step: str, url: str, items: Sequence[msgspec.Struct]) -> None:
        weights = [max(getattr(item, "bytes", 0), 1) for item in items]
        done, total = 0, sum(weights)
        for item, weight in zip(items, weights, strict=True):
            self._tell(done, total, TEXTS[step])
            steps.run(step, url, msgspec.msgpack.encode(item))
            done += weight
        self._tell(total, total, TEXTS[step])
