"""The order of rows: a function of seed and epoch alone, so that a resumed epoch goes on with the batch it stopped before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from training.contract import Array, Input, Split, Task

Inputs = Array | dict[str, Array]
"""What a model is called with: one array, or arrays by input name."""


def order(seed: int, epoch: int, rows: int) -> Array:
    """The rows of an epoch, shuffled."""
    return np.random.default_rng([abs(seed), epoch]).permutation(rows)


def count(rows: int, batch_size: int) -> int:
    """Batches of an epoch; the last one may be smaller."""
    return -(-rows // batch_size)


def batch(split: Split, task: Task, rows: Any) -> tuple[Inputs, Array]:
    """The inputs and targets of some rows."""
    return inputs_of(split, task.inputs, rows), targets_of(task, split.y[rows])


def in_order(split: Split, task: Task, batch_size: int) -> Iterator[tuple[Inputs, Array]]:
    """All rows as they lie."""
    for start in range(0, split.rows, batch_size):
        yield batch(split, task, slice(start, start + batch_size))


def inputs_of(split: Split, inputs: Sequence[Input], rows: Any) -> Inputs:
    """The rows in the dtypes of the signature."""
    if isinstance(split.x, Mapping):
        named = {each.name: np.asarray(split.x[each.name][rows], each.dtype) for each in inputs}
        return named if len(inputs) > 1 else named[inputs[0].name]
    return np.asarray(split.x[rows], inputs[0].dtype)


def targets_of(task: Task, y: Array) -> Array:
    """Labels `[rows] int64`; binary `[rows, 1] float32`; values `[rows, n] float32`."""
    if task.kind == "classification":
        return y.reshape(-1).astype(np.int64)
    return y.reshape(len(y), -1).astype(np.float32)
