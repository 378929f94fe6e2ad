"""Whether a canary does worse than the version beside it, and not by chance.

Shares are compared by Fisher's exact test (R. A. Fisher, Statistical Methods for Research Workers, 1934; the tail of the hypergeometric
distribution), which says whether they differ at all, and by the normal test of a difference of proportions beyond a margin (J. L. Fleiss
and others, Statistical Methods for Rates and Proportions, 3rd edition), which says whether they differ by more than is allowed.

Latencies are compared by quantiles with confidence bounds that assume no distribution: the k-th smallest of n values is above the
quantile q with the probability that fewer than k of n fall below it, which is binomial (W. J. Conover, Practical Nonparametric
Statistics, 3rd edition, section 3.2). Where there are too few values for a bound, nothing is said.
"""

from __future__ import annotations

from itertools import accumulate
from math import erfc, exp, inf, lgamma, log, sqrt

from serving.traffic import BOUNDS_MS, Traffic
from skylift.artifacts.comparing import CanaryLimits

_QUESTIONS = 4
"""Errors, refusals, median, p99: each gets its part of the chance."""


def worse(stable: Traffic, canary: Traffic, limits: CanaryLimits, chance: float) -> str:
    """In what the canary is worse than the limits allow, as a sentence; empty where it is not, or where that may be chance.

    Args:
        chance: how likely the answer may be wrong of a canary that is no worse.
    """
    each = chance / _QUESTIONS
    return (
        _share("requests end in an error", stable.errors, canary.errors, stable, canary, limits.errors, each)
        or _share("requests are refused", stable.refused, canary.refused, stable, canary, limits.refusals, each)
        or _slower("median", 0.5, stable, canary, limits.median, limits.slower_ms, each)
        or _slower("p99", 0.99, stable, canary, limits.p99, limits.slower_ms, each)
    )


def _share(what: str, before: int, now: int, stable: Traffic, canary: Traffic, margin: float, chance: float) -> str:
    if not canary.count or not stable.count:
        return ""
    theirs, ours = before / stable.count, now / canary.count
    beyond = ours - theirs - margin
    error = sqrt(ours * (1 - ours) / canary.count + theirs * (1 - theirs) / stable.count)
    if beyond <= 0 or (error and erfc(beyond / error / sqrt(2)) / 2 > chance):
        return ""
    if fisher(now, canary.count, before, stable.count) > chance:
        return ""
    return (
        f"{ours:.1%} of the canary's {what}, {theirs:.1%} of the stable version's "
        f"({now} of {canary.count}, {before} of {stable.count})"
    )


def _slower(
    what: str, quantile: float, stable: Traffic, canary: Traffic, ratio: float, least_ms: float, chance: float
) -> str:
    if not ratio:
        return ""
    low = lower_bound(canary.count, quantile, chance / 2)
    high = upper_bound(stable.count, quantile, chance / 2)
    if low is None or high is None:
        return ""
    ours, theirs = latency_ms(canary, low), latency_ms(stable, high)
    if ours <= ratio * theirs or ours - theirs <= least_ms:
        return ""
    return (
        f"the canary's {what} latency is {ours:.3g} ms at least, the stable version's {theirs:.3g} ms at most "
        f"(over {canary.count} and {stable.count} requests); {ratio:g} times is the limit"
    )


def fisher(bad: int, count: int, other_bad: int, other_count: int) -> float:
    """How likely so many of the `bad` would be on this side, or more, were both sides alike.

    Examples:
        >>> fisher(3, 4, 1, 4)  # the lady tasting tea: 17/70
        0.242857
        >>> fisher(0, 100, 0, 900)
        1.0
    """
    of, marked = count + other_count, bad + other_bad
    if bad * of <= count * marked:
        return 1.0  # no more than its share: at least a half, and never a reason
    term = exp(_choose(marked, bad) + _choose(of - marked, count - bad) - _choose(of, count))
    total = 0.0
    for hit in range(bad, min(marked, count) + 1):
        total += term
        if term < total * 1e-12:
            break
        term *= (marked - hit) * (count - hit) / ((hit + 1) * (of - marked - count + hit + 1))
    return round(total, 6) if total > 1e-3 else total


def lower_bound(count: int, quantile: float, chance: float) -> int | None:
    """Which of `count` values in order (from 1) lies above the quantile with no more than this chance.

    Examples:
        >>> lower_bound(100, 0.5, 0.025)
        40
        >>> lower_bound(3, 0.5, 0.025) is None
        True
    """
    start, masses = _binomial(count, quantile)
    found = start
    for below in accumulate(masses):
        if below > chance:
            break
        found += 1
    return found if found >= 1 else None


def upper_bound(count: int, quantile: float, chance: float) -> int | None:
    """Which of `count` values in order lies below the quantile with no more than this chance.

    Examples:
        >>> upper_bound(100, 0.5, 0.025)
        61
        >>> upper_bound(500, 0.99, 0.001) is None
        True
    """
    mirrored = lower_bound(count, 1 - quantile, chance)
    return count + 1 - mirrored if mirrored is not None else None


def latency_ms(traffic: Traffic, place: int) -> float:
    """The upper bound of the bucket that holds the value at `place` in order: at most 19 % more than that value."""
    for bound, seen in zip(BOUNDS_MS, accumulate(traffic.buckets), strict=False):
        if seen >= place:
            return bound
    return BOUNDS_MS[-1]


def _binomial(count: int, share: float) -> tuple[int, list[float]]:
    """The probabilities of a binomial distribution from a number on, below which there is nothing worth a mention."""
    mean, spread = count * share, sqrt(count * share * (1 - share))
    first = max(0, int(mean - 12 * spread) - 30)
    last = min(count, int(mean + 12 * spread) + 30)
    term = _choose(count, first) + first * log(share) + (count - first) * log(1 - share)
    masses = []
    for hits in range(first, last + 1):
        masses.append(exp(term))
        term += log((count - hits) / (hits + 1) * share / (1 - share)) if hits < count else -inf
    return first, masses


def _choose(of: int, taken: int) -> float:
    return lgamma(of + 1) - lgamma(taken + 1) - lgamma(of - taken + 1)
