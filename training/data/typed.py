"""A chunk as the schema has it: typed, nothing filled or dropped yet."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from skylift.artifacts.texts import fits, row_of
from training.contract import Array
from training.data import cells
from training.data.chunks import SPLITS, Chunk, given_split
from training.data.schema import ColumnPlan, Schema

UNKNOWN = -1
DIGEST = 16


@dataclass(frozen=True)
class Typed:
    """Rows of the dataset-to-be.

    Args:
        numbers: `[rows, number columns] float64`, NaN where there is none.
        codes: by category column, `[rows] int32` into the plan's values, UNKNOWN where there is none.
        tensors: by text, image and tensor column, `[rows, …]`.
        target: `[rows]`: label's code as int64, UNKNOWN where there is none; or float64 with NaN.
        given: `[rows]`: 0 where the source gives no split, else 1 + its place in SPLITS.
        unusable: rows that no policy can save: no target, an image that cannot be read.
        missing, wrong: `[rows, …]` by column, what was not there and what was of another type.
    """

    rows: int
    numbers: Array
    codes: dict[str, Array]
    tensors: dict[str, Array]
    target: Array
    given: Array
    unusable: Array
    missing: dict[str, Array] = field(default_factory=dict)
    wrong: dict[str, Array] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    """Texts that were too long, by column."""


def parse(chunk: Chunk, schema: Schema) -> Typed:
    """The chunk's rows by the schema."""
    missing: dict[str, Array] = {}
    wrong: dict[str, Array] = {}
    cut: dict[str, int] = {}
    unusable = np.zeros(chunk.rows, bool)
    numbers = np.empty((chunk.rows, len(schema.of("number"))))
    for index, plan in enumerate(schema.of("number")):
        found = cells.numbers(_scalars(chunk.columns[plan.name]))
        numbers[:, index], missing[plan.name], wrong[plan.name] = found.values, found.missing, found.wrong
    codes = {plan.name: _codes(chunk.columns[plan.name], plan.values) for plan in schema.of("category")}
    missing |= {name: values == UNKNOWN for name, values in codes.items()}
    tensors: dict[str, Array] = {}
    for plan in schema.columns:
        if plan.kind == "text":
            tensors[plan.name], missing[plan.name], cut[plan.name] = _text(chunk.columns[plan.name], plan)
        elif plan.kind == "image":
            tensors[plan.name], wrong[plan.name] = _images(chunk.columns[plan.name], plan)
            unusable |= wrong[plan.name]
        elif plan.kind == "tensor":
            tensors[plan.name], missing[plan.name] = _tensor(chunk.columns[plan.name], plan)
    target = _target(chunk.columns[schema.target], schema, missing, wrong)
    unusable |= missing[schema.target] | wrong[schema.target]
    given = _given(chunk, schema)
    return Typed(chunk.rows, numbers, codes, tensors, target, given, unusable, missing, wrong, cut)


def _scalars(column: Any) -> Any:
    return pc.cast(column, pa.string()) if cells.is_binary(column) else column


def _codes(column: Any, values: list[str]) -> Array:
    codes = pc.index_in(cells.texts(column), value_set=pa.array(values, pa.string()))
    return np.asarray(pc.fill_null(codes, UNKNOWN).to_numpy(zero_copy_only=False), np.int32)


def _text(column: Any, plan: ColumnPlan) -> tuple[Array, Array, int]:
    length = plan.shape[0]
    values = cells.texts(column).to_pylist()
    rows = b"".join(row_of(value or "", length) for value in values)
    cut = sum(1 for value in values if value is not None and not fits(value, length))
    return np.frombuffer(rows, np.uint8).reshape(-1, length), np.array([value is None for value in values], bool), cut


def _images(column: Any, plan: ColumnPlan) -> tuple[Array, Array]:
    pixels = np.zeros((len(column), *plan.shape), np.uint8)
    damaged = np.zeros(len(column), bool)
    for at, data in enumerate(column.to_pylist()):
        image = cells.image(data, tuple(plan.shape))
        damaged[at] = image is None
        if image is not None:
            pixels[at] = image
    return pixels, damaged


def _tensor(column: Array, plan: ColumnPlan) -> tuple[Array, Array]:
    values = np.ascontiguousarray(column, np.dtype(plan.dtype))
    if values.dtype.kind != "f":
        return values, np.zeros(len(values), bool)
    return values, ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)


def _target(column: Any, schema: Schema, missing: dict[str, Array], wrong: dict[str, Array]) -> Array:
    if schema.task == "regression":
        found = cells.numbers(_scalars(column))
        missing[schema.target], wrong[schema.target] = found.missing, found.wrong
        return found.values
    codes = _codes(column, schema.labels).astype(np.int64)
    missing[schema.target], wrong[schema.target] = codes == UNKNOWN, np.zeros(len(codes), bool)
    return codes


def _given(chunk: Chunk, schema: Schema) -> Array:
    name = schema.asked.split_column
    if not name:
        return np.full(chunk.rows, 1 + SPLITS.index(chunk.given) if chunk.given else 0, np.int32)
    words = cells.texts(chunk.columns[name]).to_pylist()
    return np.array([1 + SPLITS.index(given_split(word or "train")) for word in words], np.int32)


# content


@lru_cache(maxsize=64)
def _digests(values: tuple[str, ...]) -> Array:
    """A digest for every value of a category, the last for none: a code's meaning does not depend on what other values there are."""
    made = [hashlib.blake2b(value.encode(), digest_size=DIGEST).digest() for value in (*values, "\0")]
    return np.frombuffer(b"".join(made), np.uint8).reshape(-1, DIGEST)


def content(rows: Typed, schema: Schema, seed: int) -> Array:
    """A hash of every row's inputs, `[rows, 2] uint64`: the same for equal rows, whatever the order of columns and wherever they lie."""
    order = np.argsort([plan.name for plan in schema.of("number")], kind="stable")
    numbers = np.ascontiguousarray(rows.numbers[:, order]) + 0.0  # -0 is 0
    numbers[np.isnan(numbers)] = np.nan
    parts = [numbers.view(np.uint8).reshape(rows.rows, -1)]
    for plan in sorted(schema.of("category"), key=lambda plan: plan.name):
        parts.append(_digests(tuple(plan.values))[rows.codes[plan.name]])
    for name in sorted(rows.tensors):
        parts.append(rows.tensors[name].reshape(rows.rows, -1).view(np.uint8))
    whole = np.ascontiguousarray(np.concatenate(parts, axis=1)) if len(parts) > 1 else np.ascontiguousarray(parts[0])
    width = whole.shape[1]
    view = memoryview(whole.reshape(-1).data)
    salt = seed.to_bytes(8, "little", signed=True)
    hashes = [
        hashlib.blake2b(view[at : at + width], digest_size=DIGEST, salt=salt).digest()
        for at in range(0, width * rows.rows, max(width, 1))
    ]
    return np.frombuffer(b"".join(hashes), "<u8").reshape(-1, 2)
