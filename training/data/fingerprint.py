"""The second look: a hash of every row, a fair sample of the rows, and which values a category has among rows of which hash."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from training.contract import Array
from training.data.chunks import Chunk
from training.data.problems import Problem
from training.data.schema import Schema
from training.data.typed import Typed, content, parse

RECORD = np.dtype([("high", "<u8"), ("low", "<u8"), ("target", "<i8"), ("row", "<i4"), ("stratum", "<i4")])
"""A row by its hash. `row` counts in its piece, `stratum` says among which rows it is shared out, `target` tells equal ones apart."""

BUCKETS = 256
"""Ranges of hashes by which rows are compared."""
GIVEN = 4
"""The ways in which a split can be given: not, or one of the three."""

SAMPLE_ROWS = 16_384
SAMPLE_CELLS = 1 << 21
SAMPLE_TENSORS = 60


class Counts(msgspec.Struct):
    """What was found in a column, by how many rows."""

    missing: int = 0
    wrong: int = 0
    cut: int = 0


class Tally(msgspec.Struct):
    """What a piece leaves beside its records: rows, dropped ones, counts by column, offsets of buckets in the records."""

    rows: int = 0
    unusable: int = 0
    incomplete: int = 0
    """Rows dropped because something was missing and that was asked for."""
    columns: dict[str, Counts] = {}
    offsets: list[int] = []


@dataclass
class Sample:
    """Rows of the smallest second hash: a fair choice that does not depend on order or pieces. The first ones have their tensors."""

    keys: Array = field(default_factory=lambda: np.empty(0, np.uint64))
    highs: Array = field(default_factory=lambda: np.empty(0, np.uint64))
    strata: Array = field(default_factory=lambda: np.empty(0, np.int32))
    numbers: Array | None = None
    target: Array | None = None
    codes: dict[str, Array] = field(default_factory=dict)
    tensors: dict[str, Array] = field(default_factory=dict)

    def arrays(self) -> dict[str, Array]:
        """All of them by name, for a file."""
        plain = {"keys": self.keys, "highs": self.highs, "strata": self.strata}
        assert self.numbers is not None and self.target is not None
        plain |= {"numbers": self.numbers, "target": self.target}
        return plain | {f"c {n}": v for n, v in self.codes.items()} | {f"t {n}": v for n, v in self.tensors.items()}

    @classmethod
    def of(cls, arrays: dict[str, Array]) -> Sample:
        """The sample again."""
        made = cls(arrays["keys"], arrays["highs"], arrays["strata"], arrays["numbers"], arrays["target"])
        for name, values in arrays.items():
            if name.startswith(("c ", "t ")):
                (made.codes if name[0] == "c" else made.tensors)[name[2:]] = values
        return made

    def add(self, other: Sample, limit: int) -> Sample:
        """The fair sample of both."""
        if self.numbers is None or self.target is None:
            return other.take(limit)
        assert other.numbers is not None and other.target is not None
        both = Sample(
            np.concatenate([self.keys, other.keys]),
            np.concatenate([self.highs, other.highs]),
            np.concatenate([self.strata, other.strata]),
            np.concatenate([self.numbers, other.numbers]),
            np.concatenate([self.target, other.target]),
            {name: np.concatenate([values, other.codes[name]]) for name, values in self.codes.items()},
        )
        shown = np.concatenate([self.keys[:SAMPLE_TENSORS], other.keys[:SAMPLE_TENSORS]])
        order = np.argsort(shown, kind="stable")[:SAMPLE_TENSORS]
        for name, values in self.tensors.items():
            both.tensors[name] = np.concatenate([values, other.tensors[name]])[order]
        return both.take(limit, tensors=False)

    def take(self, limit: int, *, tensors: bool = True) -> Sample:
        """The first rows by key."""
        order = np.argsort(self.keys, kind="stable")[:limit]
        assert self.numbers is not None and self.target is not None
        return Sample(
            self.keys[order],
            self.highs[order],
            self.strata[order],
            self.numbers[order],
            self.target[order],
            {name: values[order] for name, values in self.codes.items()},
            {name: values[order[:SAMPLE_TENSORS]] if tensors else values for name, values in self.tensors.items()},
        )


@dataclass
class Fingerprint:
    """What a piece leaves. `seen` holds for every category, value and stratum the largest hash of a row of it, plus one."""

    tally: Tally
    records: Array
    sample: Sample
    seen: dict[str, Array]


def sample_limit(schema: Schema) -> int:
    """Rows of the sample: fewer where there are many columns."""
    width = max(len(schema.of("number")) + len(schema.of("category")), 1)
    return max(min(SAMPLE_ROWS, SAMPLE_CELLS // width), 256)


def strata_of(schema: Schema) -> int:
    """How many strata there are: by class, and by the split that the source gives."""
    return GIVEN * max(len(schema.labels), 1)


def stratum_of(rows: Typed, schema: Schema) -> Array:
    classes = rows.target if schema.task != "regression" else np.zeros(rows.rows, np.int64)
    return (rows.given * max(len(schema.labels), 1) + np.maximum(classes, 0)).astype(np.int32)


def is_incomplete(rows: Typed, schema: Schema) -> Array:
    """Rows to drop because something in them is missing: all where that was asked, else those with broken tensors alone."""
    asked = schema.asked.missing
    gone = np.zeros(rows.rows, bool)
    for plan in schema.columns:
        if (asked == "drop" or (plan.kind == "tensor" and asked != "keep")) and plan.kind != "image":
            gone |= rows.missing[plan.name] | rows.wrong.get(plan.name, False)
    return gone


def fingerprint(chunks: Iterable[Chunk | Problem], schema: Schema) -> Fingerprint:
    """Hash the rows of a piece."""
    tally, sample = Tally(), Sample()
    records: list[Array] = []
    seen = {plan.name: np.zeros((len(plan.values), strata_of(schema)), np.uint64) for plan in schema.of("category")}
    for chunk in chunks:
        if isinstance(chunk, Problem):
            continue  # the survey has refused it
        rows = parse(chunk, schema)
        _count(tally, rows)
        incomplete = is_incomplete(rows, schema) & ~rows.unusable
        kept = np.flatnonzero(~rows.unusable & ~incomplete)
        made = _records(rows, schema, kept, tally.rows)
        tally.rows += rows.rows
        tally.unusable += int(rows.unusable.sum())
        tally.incomplete += int(incomplete.sum())
        records.append(made)
        for name, largest in seen.items():
            codes = rows.codes[name][kept]
            there = codes >= 0
            np.maximum.at(largest, (codes[there], made["stratum"][there]), (made["high"] | np.uint64(1))[there])
        sample = sample.add(_sample(rows, made, kept), sample_limit(schema))
    whole = np.concatenate(records) if records else np.empty(0, RECORD)
    whole = whole[np.lexsort((whole["row"], whole["low"], whole["high"]))]
    bounds = np.arange(1, BUCKETS, dtype=np.uint64) << np.uint64(56)
    tally.offsets = [0, *np.searchsorted(whole["high"], bounds).tolist(), len(whole)]
    return Fingerprint(tally, whole, sample, seen)


def _records(rows: Typed, schema: Schema, kept: Array, before: int) -> Array:
    hashes = content(rows, schema, schema.asked.seed)[kept]
    made = np.empty(len(kept), RECORD)
    made["high"], made["low"] = hashes[:, 0], hashes[:, 1]
    made["row"] = kept + before
    made["stratum"] = stratum_of(rows, schema)[kept]
    made["target"] = (rows.target if schema.task != "regression" else (rows.target + 0.0).view(np.int64))[kept]
    return made


def _sample(rows: Typed, made: Array, kept: Array) -> Sample:
    whole = Sample(
        made["low"].copy(),
        made["high"].copy(),
        made["stratum"].copy(),
        rows.numbers[kept],
        rows.target[kept],
        {name: values[kept] for name, values in rows.codes.items()},
    )
    order = kept[np.argsort(whole.keys, kind="stable")[:SAMPLE_TENSORS]]
    whole.tensors = {name: values[order] for name, values in rows.tensors.items()}
    return whole.take(len(kept), tensors=False)


def _count(tally: Tally, rows: Typed) -> None:
    for name in {*rows.missing, *rows.wrong}:
        counts = tally.columns.setdefault(name, Counts())
        counts.missing += int(_sum(rows.missing.get(name)))
        counts.wrong += int(_sum(rows.wrong.get(name)))
        counts.cut += rows.cut.get(name, 0)


def _sum(flags: Any) -> int:
    return 0 if flags is None else int(flags.sum())
