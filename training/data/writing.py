"""The last step: a piece's rows cleaned, and written as shards of their splits."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from training.contract import Array
from training.data.chunks import SPLITS, Chunk
from training.data.measures import Learned, Moments, bounds, far_out
from training.data.problems import Problem
from training.data.schema import Schema
from training.data.shards import File, Shard, Writer
from training.data.splitting import DROPPED
from training.data.typed import UNKNOWN, Typed, parse

NUMBERS, CATEGORIES, TARGET = "numbers", "categories", "target"


class Done(msgspec.Struct):
    """What a piece became."""

    rows: dict[str, int] = {}
    classes: dict[str, list[int]] = {}
    """By split, rows of each label."""
    outliers: dict[str, int] = {}
    filled: dict[str, int] = {}
    unknown: dict[str, int] = {}
    """Values of a category that do not occur in the training split, or that are missing."""
    dropped: int = 0
    """Rows dropped as outliers."""
    moments: dict[str, Moments] = {}
    shards: dict[str, list[Shard]] = {}
    files: list[File] = []


def groups_of(schema: Schema) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """The groups of columns that lie in files together: dtype and shape of a row."""
    groups: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
    if schema.of("number"):
        groups[NUMBERS] = (np.dtype("<f4"), (len(schema.of("number")),))
    if schema.of("category"):
        groups[CATEGORIES] = (np.dtype("<i4"), (len(schema.of("category")),))
    for plan in schema.columns:
        if plan.kind in ("text", "image", "tensor"):
            groups[plan.name] = (np.dtype(plan.dtype).newbyteorder("<"), tuple(plan.shape))
    groups[f"{TARGET}"] = (np.dtype("<f4" if schema.task == "regression" else "<i8"), ())
    return groups


def write(
    chunks: Iterable[Chunk | Problem], split: Array, schema: Schema, learned: Learned, folder: Path, piece: int
) -> Done:
    """Clean and write the rows of a piece.

    Args:
        split: place in SPLITS of every row of the piece, DROPPED for those that do not stay.
    """
    done = Done(classes={name: [0] * len(schema.labels) for name in SPLITS})
    writers = {name: Writer(folder, name, piece, groups_of(schema)) for name in SPLITS}
    at = 0
    for chunk in chunks:
        if isinstance(chunk, Problem):
            continue
        rows = parse(chunk, schema)
        mine = split[at : at + rows.rows].copy()
        at += rows.rows
        values = _clean(rows, mine, schema, learned, done)
        for number, name in enumerate(SPLITS):
            chosen = np.flatnonzero(mine == number)
            if len(chosen):
                part = {group: array[chosen] for group, array in values.items()}
                writers[name].append(part)
                _note(name, part, schema, done)
    for name, writer in writers.items():
        writer.close()
        done.shards[name] = writer.shards
        done.files += writer.files
    return done


def _clean(rows: Typed, mine: Array, schema: Schema, learned: Learned, done: Done) -> dict[str, Array]:
    values: dict[str, Array] = {}
    staying = mine != DROPPED
    if schema.of("number"):
        numbers = rows.numbers.copy()
        far = far_out(numbers, schema, learned)
        _outliers(numbers, far, mine, schema, learned, done)
        staying = mine != DROPPED
        for index, plan in enumerate(schema.of("number")):
            empty = np.isnan(numbers[:, index])
            if plan.name in learned.fill:
                _add(done.filled, plan.name, int((empty & staying).sum()))
                numbers[empty, index] = learned.fill[plan.name]
        values[NUMBERS] = numbers.astype(np.float32)
    if schema.of("category"):
        columns = [
            _coded(rows.codes[plan.name], plan.values, learned.vocabulary[plan.name]) for plan in schema.of("category")
        ]
        for plan, codes in zip(schema.of("category"), columns, strict=True):
            _add(done.unknown, plan.name, int(((codes == 0) & staying).sum()))
        values[CATEGORIES] = np.stack(columns, axis=1)
    return {**values, **rows.tensors, TARGET: rows.target}


def _outliers(numbers: Array, far: Array, mine: Array, schema: Schema, learned: Learned, done: Done) -> None:
    staying = mine != DROPPED
    for index, plan in enumerate(schema.of("number")):
        _add(done.outliers, plan.name, int((far[:, index] & staying).sum()))
    if schema.asked.outliers == "clip":
        low, high = bounds(schema, learned)
        np.clip(numbers, low, high, out=numbers)
    elif schema.asked.outliers == "drop":
        gone = far.any(axis=1) & staying
        done.dropped += int(gone.sum())
        mine[gone] = DROPPED


def _coded(codes: Array, values: list[str], vocabulary: list[str]) -> Array:
    """Codes into the vocabulary from 1 on; 0 for what is missing or was not learned from."""
    known = {value: code for code, value in enumerate(vocabulary, 1)}
    table = np.array([*(known.get(value, 0) for value in values), 0], np.int32)
    return table[np.where(codes == UNKNOWN, len(values), codes)]


def _note(name: str, part: dict[str, Array], schema: Schema, done: Done) -> None:
    done.rows[name] = done.rows.get(name, 0) + len(part[TARGET])
    if schema.labels:
        counts = np.bincount(part[TARGET], minlength=len(schema.labels))
        done.classes[name] = [a + int(b) for a, b in zip(done.classes[name], counts, strict=True)]
    if name != "train":
        return
    for index, plan in enumerate(schema.of("number")):
        column = part[NUMBERS][:, index : index + 1]
        done.moments.setdefault(plan.name, Moments()).add(column[~np.isnan(column[:, 0])])
    for plan in schema.columns:
        if plan.kind in ("image", "tensor"):
            channels = plan.shape[-1] if len(plan.shape) > 2 and plan.shape[-1] <= 4 else 1
            flat = part[plan.name].reshape(-1, channels)
            done.moments.setdefault(plan.name, Moments()).add(flat[np.isfinite(flat).all(axis=1)])
    if schema.task == "regression":
        done.moments.setdefault(schema.target, Moments()).add(part[TARGET][:, None].astype(np.float32))


def _add(counts: dict[str, int], name: str, count: int) -> None:
    counts[name] = counts.get(name, 0) + count
