"""Those who ask: what they may do, and how often."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from serving.guard.refusals import not_allowed
from skylift.artifacts.access import Limited, Verb

_REMEMBERED = 1024
"""Pairs of model and verb that a principal is known to be allowed; clients choose the names."""


class Bucket:
    """A token bucket. Lives in the event loop's thread.

    Args:
        rate: tokens that come in per second.
        burst: tokens that it holds; it begins full.
    """

    __slots__ = ("_at", "_left", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self._left, self._at = burst, 0.0

    def take(self, now: float) -> float:
        """Take a token; how long until there is one [s], 0.0 where it was taken."""
        left = min(self.burst, self._left + max(0.0, now - self._at) * self.rate)
        self._at = now
        if left >= 1.0:
            self._left = left - 1.0
            return 0.0
        self._left = left
        return (1.0 - left) / self.rate

    def resize(self, rate: float, burst: float) -> None:
        """Go on under another limit with no more than what is left."""
        self.rate, self.burst = rate, burst
        self._left = min(self._left, burst)


def share(limit: Limited, workers: int) -> tuple[float, float] | None:
    """Rate and burst of one worker process, of which each counts for itself; None without a limit."""
    if limit.rate is None:
        return None
    burst = limit.burst if limit.burst is not None else limit.rate
    return limit.rate / workers, max(1.0, burst / workers)


class Rights:
    """Verbs on models.

    Args:
        models: patterns; none means all.
    """

    __slots__ = ("_models", "_verbs")

    def __init__(self, verbs: Iterable[Verb], models: Iterable[str]) -> None:
        self._verbs = frozenset(verbs)
        patterns = [fnmatch.translate(one) for one in models]
        self._models = re.compile("|".join(patterns)) if patterns else None

    def allow(self, verb: Verb, model: str) -> bool:
        if verb not in self._verbs:
            return False
        if self._models is None:
            return True
        # What names no model concerns all of them: to look at the list is harmless, to change it is not.
        return verb == "metadata" if not model else self._models.match(model) is not None


@dataclass(slots=True, eq=False)
class Principal:
    """Who asks.

    Args:
        name: an API key's or certificate's name in the document, or a token's subject; for logs and metrics.
        digest: of the token, salted.
        until: when it ends, in seconds since 1970.
        bucket: None for no limit.
    """

    name: str
    kind: Literal["key", "token", "certificate"]
    rights: tuple[Rights, ...]
    digest: bytes = field(default=bytes(32), repr=False)
    until: float = float("inf")
    bucket: Bucket | None = None
    allowed: set[tuple[str, Verb]] = field(default_factory=set)
    """What was asked before and found right."""

    def may(self, verb: Verb, model: str) -> bool:
        """Whether it has a right. An empty `model` means all of them."""
        return any(rights.allow(verb, model) for rights in self.rights)

    def demand(self, verb: Verb, model: str) -> None:
        """
        Raises:
            AccessError: it may not.
        """
        if not self.may(verb, model):
            raise not_allowed(self.name, verb, model)
        if len(self.allowed) >= _REMEMBERED:
            self.allowed.clear()
        self.allowed.add((model, verb))
