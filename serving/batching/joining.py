"""Rows of several requests put into one batch, and its answers given back to each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from serving.backends.base import Array
from serving.batching.jobs import Job


def allowed(rows: int, sizes: Sequence[int]) -> int:
    """The size that so many rows are computed at."""
    return next((size for size in sizes if size >= rows), rows)


def joined(jobs: Sequence[Job], rows: int, *, is_ragged: bool) -> dict[str, Array]:
    """The inputs of a batch of `rows` rows: those of the jobs one after another, then the first row again and again.

    A real row, because the model takes it: zeros may be no valid index, logarithm or picture. Copied once; a single job that needs no
    padding is not copied.
    """
    if len(jobs) == 1 and jobs[0].rows == rows:
        return dict(jobs[0].inputs)
    return {name: _join([job.inputs[name] for job in jobs], rows, is_ragged=is_ragged) for name in jobs[0].inputs}


def padded(inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
    """A request or a part of one, filled up to `rows` rows."""
    return {name: _join([value], rows, is_ragged=False) for name, value in inputs.items()}


def _join(arrays: list[Array], rows: int, *, is_ragged: bool) -> Array:
    count = sum(map(len, arrays))
    if is_ragged and any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
        return _join_ragged(arrays, rows)
    if count == rows:
        return np.concatenate(arrays)
    whole: Array = np.empty((rows, *arrays[0].shape[1:]), dtype=np.result_type(*{array.dtype for array in arrays}))
    np.concatenate(arrays, out=whole[:count])
    whole[count:] = whole[0]
    return whole


def _join_ragged(arrays: list[Array], rows: int) -> Array:
    inner = tuple(map(max, zip(*(array.shape[1:] for array in arrays), strict=True)))
    dtype = arrays[0].dtype
    whole: Array = np.full((rows, *inner), b"", dtype=dtype) if dtype.kind == "O" else np.zeros((rows, *inner), dtype)
    start = 0
    for array in arrays:
        whole[(slice(start, start + len(array)), *map(slice, array.shape[1:]))] = array
        start += len(array)
    whole[start:] = whole[0]
    return whole


def is_by_row(outputs: Mapping[str, Array], rows: int) -> bool:
    return all(value.ndim and len(value) == rows for value in outputs.values())


def split(outputs: Mapping[str, Array], jobs: Sequence[Job]) -> list[dict[str, Array]]:
    """Each job's own rows, as views; what padding gave is left out."""
    parts = []
    start = 0
    for job in jobs:
        end = start + job.rows
        parts.append({name: value[start:end] for name, value in outputs.items()})
        start = end
    return parts


class Whole:
    """The answer to one request, put together from its parts without holding them all."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.outputs: dict[str, Array] = {}

    def put(self, start: int, part: Mapping[str, Array]) -> bool:
        """Copy a part in. False if it does not fit to those before: its inner dimensions differ."""
        if not self.outputs:
            self.outputs = {name: np.empty((self._rows, *value.shape[1:]), value.dtype) for name, value in part.items()}
        for name, value in part.items():
            whole = self.outputs[name]
            if value.shape[1:] != whole.shape[1:] or value.dtype != whole.dtype:
                return False
            whole[start : start + len(value)] = value
        return True
