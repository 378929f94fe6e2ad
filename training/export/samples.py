"""A few rows of the test split that go with a model, so that anybody can try it: `skylift predict --sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from skylift.artifacts import layout
from skylift.artifacts.records import Samples, encode
from training.contract import Split, Task
from training.loop.batches import inputs_of

ROWS = 8
LARGEST = 1_000_000
"""Rows with more numbers than this in all are left out: a model's folder is no place for data."""


def write_samples(task: Task, test: Split, seed: int, folder: Path) -> None:
    """Choose rows by seed, as different in their targets as there are kinds of them, and write samples.json."""
    chosen = _chosen(test, seed)
    taken = inputs_of(test, task.inputs, chosen)
    columns = taken if isinstance(taken, dict) else {task.inputs[0].name: taken}
    if sum(column.size for column in columns.values()) > LARGEST:
        return
    if len(columns) == 1:
        instances: list[Any] = next(iter(columns.values())).tolist()
    else:
        names = list(columns)
        instances = [
            dict(zip(names, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)
        ]
    targets = test.y[chosen].tolist()
    expected = [task.labels[int(np.ravel(one)[0])] for one in targets] if task.labels else targets
    (folder / layout.SAMPLES).write_bytes(encode(Samples(instances=instances, expected=expected)))


def _chosen(test: Split, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    order = np.random.default_rng(seed).permutation(test.rows)
    if test.y.ndim > 1 and test.y.shape[-1] > 1:
        return order[:ROWS]
    values = test.y.reshape(test.rows)[order]
    _, first = np.unique(values, return_index=True)
    firsts = order[np.sort(first)]
    rest = order[~np.isin(order, firsts)]
    chosen: np.ndarray[Any, np.dtype[np.int64]] = np.concatenate([firsts, rest])[:ROWS]
    return chosen
