"""The population stability index: how far the shares of two samples over the same bins lie apart.

PSI = Σ (q - p) · ln(q / p), p the reference's shares and q the other's. By convention below 0.1 is no change, from 0.2 or 0.25 on a
shift (Siddiqi, Credit Risk Scorecards, 2006). Of few rows chance alone gives about (bins - 1) · (1/n + 1/m).
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def psi(expected: Sequence[float], counted: Sequence[float]) -> float:
    """The index of rows by bin. Half a row is added to every bin, so that an empty one is no infinite shift.

    Examples:
        >>> psi([50, 50], [500, 500])
        0.0
        >>> round(psi([50, 50], [80, 20]), 2)
        0.41
    """
    ours, theirs = sum(expected) + 0.5 * len(expected), sum(counted) + 0.5 * len(counted)
    shift = 0.0
    for before, now in zip(expected, counted, strict=True):
        p, q = (before + 0.5) / ours, (now + 0.5) / theirs
        shift += (q - p) * math.log(q / p)
    return shift
