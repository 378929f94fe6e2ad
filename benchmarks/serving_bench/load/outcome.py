"""What a load generator saw."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """Answered as they should be, all others, and how long the answered ones took; `client_cpu` is the generator's own time [s]."""

    answered: int
    failed: int
    seconds: float
    p50_ms: float
    p99_ms: float
    client_cpu: float = 0.0
