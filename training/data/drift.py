"""How far a dataset lies from another: the population stability index of every column and of the target.

It is that of skylift/artifacts/psi.py over bins of equal share in the reference (of categories: over the categories). Of few rows chance
alone gives more: if nothing moved, PSI / (1/n + 1/m) follows a chi-square distribution with one degree of freedom less than bins
(Yurdakul, Statistical Properties of Population Stability Index, 2018), so a column counts as moved only beyond what chance gives one
time in a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from skylift.artifacts import datasets
from skylift.artifacts.psi import psi
from skylift.errors import InputError
from skylift.store import Store
from training.contract import Array, Split
from training.data.format import ColumnInfo, Description
from training.data.reading import describe, read
from training.data.writing import CATEGORIES, NUMBERS

LIMIT = 0.2
BINS = 10
CHANCE = 1e-3
FEWEST = 30
MOST = 200_000
"""Rows of a split that are looked at, evenly spread over it."""


class Shift(msgspec.Struct, frozen=True):
    """One column. `limit` is the PSI from which it counts as moved; `measure` says what of it was compared."""

    column: str
    measure: str
    psi: float
    limit: float

    @property
    def has_moved(self) -> bool:
        return self.psi >= self.limit


def of_versions(keep: Store, reference: str, other: str, scratch: Path) -> list[Shift]:
    """Compare two versions (`name@digest`), the greatest PSI first.

    Raises:
        NotFoundError: there is no such version.
        InputError: they have other columns, or too few rows.
    """
    folders = [scratch / "reference", scratch / "other"]
    for ref, folder in zip((reference, other), folders, strict=True):
        datasets.fetch(keep, ref, folder)
    return compare(*folders)


def compare(reference: Path, other: Path) -> list[Shift]:
    """Compare what a model learns from, the training splits of two prepared datasets."""
    known, strange = describe(reference), describe(other)
    if (ours := _columns(known)) != (theirs := _columns(strange)):
        different = sorted(set(ours.items()) ^ set(theirs.items()))
        raise InputError(
            f"the datasets have other columns: {', '.join(dict.fromkeys(name for name, _ in different))}",
            hint="add both from sources of one form; a model of one does not fit the other",
        )
    before, now = read(reference).train, read(other).train
    for split, what in ((before, "reference"), (now, "other dataset")):
        if split.rows < FEWEST:
            raise InputError(
                f"the {what} has {split.rows} rows to train on: too few to compare", hint=f"have at least {FEWEST}"
            )
    measured = zip(_measures(known, before), _measures(strange, now), strict=True)
    shifts = [_shift(column, measure, p, q) for (column, measure, p), (_, _, q) in measured]
    return sorted(shifts, key=lambda each: -each.psi / each.limit)


def _columns(known: Description) -> dict[str, str]:
    return {column.name: f"{column.kind}{column.shape}" for column in known.columns} | {
        known.target.name: known.target.task
    }


def _measures(known: Description, split: Split) -> Iterator[tuple[str, str, Array]]:
    """Column, what is compared, and its values: numbers, or texts for categories."""
    rows = np.unique(np.linspace(0, split.rows - 1, min(split.rows, MOST)).astype(np.int64))
    groups = split.x if isinstance(split.x, Mapping) else {known.columns[0].group: split.x}
    places: dict[str, int] = {}
    for column in known.columns:
        values = np.asarray(groups[column.group][rows])
        place = places.setdefault(column.group, 0)
        places[column.group] += 1
        yield from _of_column(column, values, place)
    target = np.asarray(split.y)[rows]
    labels = known.target.labels
    yield (
        known.target.name,
        "labels" if labels else "values",
        _named(target, labels) if labels else target.astype(np.float64).reshape(len(rows), -1).mean(axis=1),
    )


def _of_column(column: ColumnInfo, values: Array, place: int) -> Iterator[tuple[str, str, Array]]:
    if column.group == NUMBERS:
        yield column.name, "values", values[:, place].astype(np.float64)
    elif column.group == CATEGORIES:
        yield column.name, "categories", _named(values[:, place], ["(unknown)", *column.vocabulary])
    elif column.kind == "text":
        yield column.name, "length", (values != 0).sum(axis=1).astype(np.float64)
        yield column.name, "letters", _letters(values)
    else:
        flat = values.reshape(len(values), -1).astype(np.float64)
        yield column.name, "mean of a row", flat.mean(axis=1)
        yield column.name, "deviation in a row", flat.std(axis=1)


def _named(codes: Array, names: list[str]) -> Array:
    return np.asarray(names, dtype=object)[codes.reshape(-1).astype(np.int64)]


def _letters(rows: Array) -> Array:
    """One byte of each text, from a place that only the row's number decides: whole texts would count letters that hang together."""
    lengths = np.maximum((rows != 0).sum(axis=1), 1)
    return np.asarray([str(byte) for byte in rows[np.arange(len(rows)), np.arange(len(rows)) * 7919 % lengths]], object)


def _shift(column: str, measure: str, before: Array, now: Array) -> Shift:
    from scipy.stats import chi2

    p, q = _counts(before, now)
    chance = chi2.ppf(1 - CHANCE, max(len(p) - 1, 1)) * (1 / p.sum() + 1 / q.sum())
    return Shift(column, measure, round(psi(p.tolist(), q.tolist()), 4), round(max(LIMIT, float(chance)), 4))


def _counts(before: Array, now: Array) -> tuple[Array, Array]:
    """Rows of both by bin."""
    if before.dtype == object:
        there = sorted({*before.tolist(), *now.tolist()})
        place = {name: number for number, name in enumerate(there)}
        p, q = (
            np.bincount([place[name] for name in values.tolist()], minlength=len(there)) for values in (before, now)
        )
        return p, q
    edges = np.unique(np.quantile(before[np.isfinite(before)], np.linspace(0, 1, BINS + 1)[1:-1]))
    return _binned(before, edges), _binned(now, edges)


def _binned(values: Array, edges: Any) -> Array:
    """Rows by bin; the last bin has those that are no finite number, where there are any in either."""
    finite = np.isfinite(values)
    counts = np.bincount(np.searchsorted(edges, values[finite], side="right"), minlength=len(edges) + 1)
    return np.append(counts, (~finite).sum())
