"""What is taken from the training split alone: fillings, bounds of outliers, vocabularies, means and deviations."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from training.contract import Array
from training.data.fingerprint import Sample
from training.data.schema import Schema
from training.data.splitting import END, Cut, splits_of

FAR_OUT = 3.0
"""Tukey's outer fences: this many times the middle half's width beyond it."""


class Learned(msgspec.Struct, frozen=True):
    """Of the training split, before anything is filled. `exact` where the sample holds all of its rows, else estimated from it."""

    fill: dict[str, float] = {}
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    vocabulary: dict[str, list[str]] = {}
    cuts: dict[int, Cut] = {}
    exact: bool = True


class Moments(msgspec.Struct):
    """Count, mean, sum of squared distances, smallest and largest of a column, or of each channel of a tensor."""

    count: int = 0
    mean: list[float] = []
    spread: list[float] = []
    low: list[float] = []
    high: list[float] = []

    def add(self, values: Array) -> None:
        """Take in `[rows, columns]`; NaN does not count (columns are then taken one at a time)."""
        if len(values):
            mean = values.mean(axis=0, dtype=np.float64)
            spread = np.square(values - mean, dtype=np.float64).sum(axis=0)
            low, high = values.min(axis=0), values.max(axis=0)
            self.join(Moments(len(values), mean.tolist(), spread.tolist(), low.tolist(), high.tolist()))

    def join(self, other: Moments) -> None:
        """Take in what was seen elsewhere (Chan's formula)."""
        if not other.count or not self.count:
            if other.count:
                self.count, self.mean, self.spread = other.count, list(other.mean), list(other.spread)
                self.low, self.high = list(other.low), list(other.high)
            return
        total = self.count + other.count
        delta = np.asarray(other.mean) - np.asarray(self.mean)
        self.spread = (np.asarray(self.spread) + other.spread + delta**2 * (self.count * other.count / total)).tolist()
        self.mean = (np.asarray(self.mean) + delta * (other.count / total)).tolist()
        self.low = np.minimum(self.low, other.low).tolist()
        self.high = np.maximum(self.high, other.high).tolist()
        self.count = total

    def deviation(self) -> list[float]:
        return [float(value) for value in np.sqrt(np.asarray(self.spread) / max(self.count, 1))]


def learn(sample: Sample, cuts: dict[int, Cut], schema: Schema, seen: dict[str, Array], rows: int) -> Learned:
    """What the training rows of the sample say.

    Args:
        seen: for every category, value and stratum, the largest hash of such a row.
        rows: all that may be in the sample.
    """
    training = splits_of(sample.strata, sample.highs, cuts) == 0
    if schema.asked.duplicates == "drop" and len(sample.keys):
        training &= np.isin(np.arange(len(sample.keys)), np.unique(sample.keys, return_index=True)[1])
    fill: dict[str, float] = {}
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for index, plan in enumerate(schema.of("number")):
        column = sample.numbers[training, index] if sample.numbers is not None else np.empty(0)
        column = column[~np.isnan(column)]
        if not len(column):
            column = np.zeros(1)
        if schema.asked.missing in ("median", "mean"):
            fill[plan.name] = float(np.median(column) if schema.asked.missing == "median" else column.mean())
        first, third = np.quantile(column, [0.25, 0.75])
        if third > first:
            low[plan.name] = float(first - FAR_OUT * (third - first))
            high[plan.name] = float(third + FAR_OUT * (third - first))
    vocabulary = {plan.name: _vocabulary(plan.values, seen[plan.name], cuts) for plan in schema.of("category")}
    return Learned(fill, low, high, vocabulary, cuts, len(sample.keys) >= rows)


def _vocabulary(values: list[str], largest: Array, cuts: dict[int, Cut]) -> list[str]:
    """The values that occur in the training split: those of which the row with the largest hash lies in it."""
    found = np.zeros(len(values), bool)
    for stratum, cut in cuts.items():
        if cut.validation < END:
            found |= (largest[:, stratum] > 0) & (largest[:, stratum] >= np.uint64(cut.validation))
    return [value for value, is_there in zip(values, found.tolist(), strict=True) if is_there]


def far_out(values: Array, schema: Schema, learned: Learned) -> Array:
    """Which numbers lie beyond the fences, `[rows, number columns] bool`."""
    low, high = bounds(schema, learned)
    with np.errstate(invalid="ignore"):
        return (values < low) | (values > high)


def bounds(schema: Schema, learned: Learned) -> tuple[Array, Array]:
    """The fences by number column."""
    names = [plan.name for plan in schema.of("number")]
    low = np.array([learned.low.get(name, -np.inf) for name in names])
    return low, np.array([learned.high.get(name, np.inf) for name in names])


def total(parts: Iterable[dict[str, Moments]]) -> dict[str, Moments]:
    """Moments of pieces together, in the order of the pieces: floating sums depend on it."""
    whole: dict[str, Moments] = {}
    for part in parts:
        for name, moments in part.items():
            whole.setdefault(name, Moments()).join(moments)
    return whole
