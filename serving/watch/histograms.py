"""Histograms as plain lists, so that one request costs a bisection and two additions.

A histogram over n bounds has n + 2 numbers: the counts of values up to each bound, the count beyond all, the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SECONDS = (5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Of a request and its phases [s]."""
ROWS = tuple(float(2**power) for power in range(13))
"""Of a batch: 1 to 4096."""
LATENCY_US = tuple(10 * 1.8**power for power in range(33))
"""TensorFlow Serving's latencies [us] (servables/tensorflow/util.cc)."""
QUEUING_US = tuple(100 * 1.2**power for power in range(52))
"""TensorFlow Serving's queuing latency [us] (batching/batching_session.cc)."""
EXAMPLES = tuple(float(2**power) for power in range(15))
"""TensorFlow Serving's examples of a request."""


def empty(bounds: Sequence[float]) -> list[float]:
    return [0] * (len(bounds) + 2)


def add_up(into: list[float], other: Sequence[float]) -> None:
    """Add a histogram over the same bounds."""
    into[:] = [mine + theirs for mine, theirs in zip(into, other, strict=True)]


def count(histogram: Sequence[float]) -> int:
    return int(sum(histogram[:-1]))


def summed_up(parts: Iterable[tuple[str, Sequence[float]]]) -> dict[str, list[float]]:
    """Histograms over the same bounds, added up by name; empty ones are left out."""
    whole: dict[str, list[float]] = {}
    for name, part in parts:
        if not any(part):
            continue
        if name in whole:
            add_up(whole[name], part)
        else:
            whole[name] = list(part)
    return whole
