"""What a canary and the version beside it are compared by: parts of records."""

from __future__ import annotations

import msgspec


class CanaryLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a canary may do worse than the version beside it; docs/releasing.md tells how it is measured.

    Args:
        requests: that the canary must have answered before it is judged at all.
        errors: by how much its share of requests that the model failed may be greater; 1 leaves errors out.
        refusals: likewise of requests that were refused before the model saw them.
        median: how many times its median latency may be the other's; 0 leaves it out.
        p99: likewise of the 99th percentile.
        slower_ms: a latency that is worse by less is never held against it.
        chance: how likely one replica may be to veto a canary that is no worse, however long it runs.
    """

    requests: int = 100
    errors: float = 0.01
    refusals: float = 0.2
    median: float = 1.5
    p99: float = 2.0
    slower_ms: float = 5.0
    chance: float = 0.0001


class SideFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one of two versions has answered since a canary began.

    Args:
        errors: answers of 500 and above, and refusals by the model itself of an input that fits its signature.
        refusals: other answers of 400 to 498, without 429.
        p50_ms: None before the first request; `p99_ms` likewise.
    """

    requests: int = 0
    errors: int = 0
    refusals: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A canary beside the version that it may follow, over the same time."""

    stable: SideFigures = SideFigures()
    canary: SideFigures = SideFigures()
