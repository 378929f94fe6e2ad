"""How a canary fares beside the version that it may follow."""

from __future__ import annotations

from math import ceil

from serving import control
from serving.supervisor.judge import worse
from serving.traffic import Traffic
from skylift.artifacts.comparing import CanaryLimits, Comparison, SideFigures

_GROWTH = 1.25
"""So many times as many requests must be there for the next look."""
_RECENT = 10
"""So many times the least number of requests make a new span: what goes wrong later must not drown in what went well."""


class _Span:
    """What both have answered since a moment."""

    def __init__(self) -> None:
        self.stable = Traffic()
        self.canary = Traffic()
        self.looks_at = 0


class Trial:
    """What both have answered since the canary began, and in the newest span of it.

    Who looks again and again will see by chance what looks bad. So looks are taken only when a quarter more requests are there, and the
    k-th may be wrong with the k-th part of 1/(1*2) + 1/(2*3) + 1/(3*4) + … = 1 of the chance, of which the whole and the newest span
    have a half each: however many looks there are, it is never exceeded (the union bound).
    """

    def __init__(self) -> None:
        self._whole = _Span()
        self._recent: _Span | None = None
        self._looks = {"whole": 0, "recent": 0}

    @property
    def figures(self) -> Comparison:
        return Comparison(stable=_figures(self._whole.stable), canary=_figures(self._whole.canary))

    @property
    def count(self) -> int:
        return self._whole.stable.count + self._whole.canary.count

    def merge(self, counted: control.Counted) -> None:
        for span in (self._whole, self._recent):
            if span is not None:
                span.stable.merge(counted.stable or Traffic())
                span.canary.merge(counted.canary or Traffic())

    def judge(self, limits: CanaryLimits) -> str:
        """Why the canary has to go, or an empty text. To be asked every second or so."""
        why = self._look("whole", self._whole, limits)
        if not why and self._recent is not None:
            why = self._look("recent", self._recent, limits)
        span = self._recent or self._whole
        if span.canary.count >= _RECENT * max(limits.requests, 1):
            self._recent = _Span()
        return why

    def _look(self, kind: str, span: _Span, limits: CanaryLimits) -> str:
        count = span.canary.count
        if count < max(span.looks_at, limits.requests, 1):
            return ""
        span.looks_at = ceil(count * _GROWTH)
        looks = self._looks[kind] = self._looks[kind] + 1
        return worse(span.stable, span.canary, limits, limits.chance / 2 / (looks * (looks + 1)))


def _figures(traffic: Traffic) -> SideFigures:
    some = traffic.count > 0
    return SideFigures(
        requests=traffic.count,
        errors=traffic.errors,
        refusals=traffic.refused,
        p50_ms=traffic.percentile_ms(50) if some else None,
        p99_ms=traffic.percentile_ms(99) if some else None,
    )
