"""What of a tensor is compared between training and serving, and how its values fall into bins: the same in both rooms.

Measures of a tensor `[rows, …]`:

    features     numbers of rank 1 or 2: each column by itself, the first FEATURES of them
    whole        greater rank (images, sequences): mean and deviation of a row, and a few of its values
    text         rows of bytes with zeros behind (skylift/artifacts/texts.py): the length, and one letter of each
    strings      texts: the length, and the texts themselves where there are few different ones
    classes      probabilities by class: the class, and the probability that it has
    probability  of the second of two classes: the class, and that probability
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from skylift.artifacts.profile_records import Distribution, Measure, TensorProfile

Array = npt.NDArray[Any]

FEATURES = 256
BINS = 10
FEW = 20
"""A number that has no more different values than this has a bin for each."""
TEXTS = 31
RAREST = 5
"""Rows that a text must have been in to be named: what was written once may be somebody's name."""
VALUES = 64
"""Of a row that is measured as a whole, evenly spread over it."""

_NAMES: dict[Measure, tuple[str, ...]] = {
    "whole": ("mean", "deviation", "values"),
    "text": ("length", "letters"),
    "strings": ("length", "texts"),
    "classes": ("class", "confidence"),
    "probability": ("class", "probability"),
}


def profile_of(name: str, values: Array, measure: Measure, columns: Sequence[str] = ()) -> TensorProfile:
    """The profile of a tensor by rows that stand for all.

    Args:
        columns: names of features, where they have any.
    """
    groups = measured(values, measure)
    names = list(_NAMES.get(measure, ()))
    if measure == "features":
        count = groups[0].shape[1]
        known = list(columns[:count]) if len(columns) >= count else []
        names = known or (["value"] if count == 1 else [str(at) for at in range(count)])
    found: list[Distribution] = []
    for group in groups:
        for column in group.T:
            made = _of_texts if column.dtype == object else _of_numbers
            found.append(made(names[len(found)], column))
    return TensorProfile(name=name, measure=measure, distributions=found)


def measured(values: Array, measure: Measure) -> list[Array]:
    """What is compared, as matrices whose columns are the distributions in order: float64, or objects that are texts.

    Raises:
        ValueError, TypeError: the tensor is none that the measure takes.
    """
    values = np.asarray(values)
    rows = len(values)
    with np.errstate(all="ignore"):
        if measure == "strings":
            texts = [_text(text) for text in values.reshape(rows, -1)[:, 0].tolist()] if values.size else []
            lengths = np.asarray([[float(len(text))] for text in texts]).reshape(-1, 1)
            return [lengths, np.asarray(texts, dtype=object).reshape(-1, 1)]
        flat = values.reshape(rows, -1 if values.size else 1)
        if measure == "features":
            return [flat[:, :FEATURES].astype(np.float64)]
        if measure == "text":
            return [(flat != 0).sum(axis=1, keepdims=True).astype(np.float64), _letters(flat)]
        numbers = flat.astype(np.float64)
        if measure == "whole":
            places = np.linspace(0, numbers.shape[1] - 1, min(VALUES, numbers.shape[1])).astype(np.int64)
            return [
                np.stack([numbers.mean(axis=1), numbers.std(axis=1)], axis=1),
                numbers[:, places].reshape(-1, 1),
            ]
        whole = np.isfinite(numbers).all(axis=1)
        if measure == "classes":
            best = np.where(whole, numbers.argmax(axis=1), np.nan)
            return [np.stack([best, np.where(whole, numbers.max(axis=1), np.nan)], axis=1)]
        yes = numbers[:, 0]
        return [np.stack([np.where(np.isfinite(yes), yes >= 0.5, np.nan), yes], axis=1)]


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _letters(rows: Array) -> Array:
    """One byte of each row, from a place that all of its bytes decide: whole texts would count letters that hang together."""
    lengths = np.maximum((rows != 0).sum(axis=1), 1)
    places = rows.sum(axis=1, dtype=np.int64) * 7919 % lengths
    letters: Array = rows[np.arange(len(rows)), places].astype(np.float64).reshape(-1, 1)
    return letters


def _of_numbers(name: str, column: Array) -> Distribution:
    finite = column[np.isfinite(column)]
    edges = _edges(finite)
    counts = np.bincount(np.searchsorted(edges, finite, side="right"), minlength=len(edges) + 1)
    return Distribution(name=name, edges=edges, counts=counts.tolist(), missing=len(column) - len(finite))


def _edges(finite: Array) -> list[float]:
    """Between the values where they are few, so that one that was never seen lies outside; else by equal shares."""
    if not len(finite):
        return []
    values = np.unique(finite)
    if len(values) <= FEW:
        gap = float(np.diff(values).min()) if len(values) > 1 else max(abs(float(values[0])), 1.0) * 1e-6
        found = [values[0] - gap / 2, *((values[1:] + values[:-1]) / 2), values[-1] + gap / 2]
    else:
        found = list(np.unique(np.quantile(finite, np.linspace(0, 1, BINS + 1)[1:-1])))
    return sorted({float(f"{edge:.9g}") for edge in found})


def _of_texts(name: str, column: Array) -> Distribution:
    """Texts by how common they are; none by name where there are many different ones."""
    counted: Counter[str] = Counter(column.tolist())
    known = sorted(counted.items(), key=lambda item: (-item[1], item[0])) if len(counted) <= TEXTS else []
    named = {text: count for text, count in known if count >= RAREST}
    rest = len(column) - sum(named.values())
    return Distribution(name=name, values=list(named), counts=[*named.values(), rest])


class Bins:
    """Counts a tensor's rows by the bins of its profile.

    `counts` gives `[distributions, width] int64`; of each distribution the first `len(counts)` are its bins and the next one is what
    was no finite number: `expected` has the profile's own in the same order.
    """

    def __init__(self, profile: TensorProfile) -> None:
        self.profile = profile
        known = profile.distributions
        self.expected = [[*each.counts, each.missing] for each in known]
        self.width = max((len(each) for each in self.expected), default=1)
        self._missing = np.asarray([len(each.counts) for each in known], dtype=np.int64)
        most = max((len(each.edges) for each in known), default=0)
        self._edges = np.full((len(known), most), np.inf)
        for at, each in enumerate(known):
            self._edges[at, : len(each.edges)] = each.edges
        self._texts = [{text: at for at, text in enumerate(each.values)} for each in known]

    def counts(self, values: Array) -> Array:
        """
        Raises:
            ValueError, TypeError: the tensor is none that the profile knows.
        """
        found = np.zeros((len(self.expected), self.width), dtype=np.int64)
        at = 0
        for group in measured(values, self.profile.measure):
            columns = group.shape[1]
            if at + columns > len(found):
                raise ValueError(f"{columns} columns where the profile has {len(found) - at}")
            there = slice(at, at + columns)
            found[there] = self._named(at, group) if group.dtype == object else self._numbered(there, group)
            at += columns
        if at != len(found):
            raise ValueError(f"{at} columns where the profile has {len(found)}")
        return found

    def _numbered(self, there: slice, group: Array) -> Array:
        places = np.zeros(group.shape, dtype=np.int64)
        with np.errstate(invalid="ignore"):
            for edges in self._edges[there].T:
                places += group >= edges
        places = np.where(np.isfinite(group), places, self._missing[there])
        columns = group.shape[1]
        flat = (places + np.arange(columns) * self.width).ravel()
        return np.bincount(flat, minlength=columns * self.width).reshape(columns, self.width)

    def _named(self, at: int, group: Array) -> Array:
        known = self._texts[at]
        places = [known.get(text, len(known)) for text in group.ravel().tolist()]
        return np.bincount(places, minlength=self.width).reshape(1, -1)
