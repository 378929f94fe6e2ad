"""Where the compiled loop takes its batches from: tensors that lie where it computes, or a tf.data pipeline when they do not fit.

Both give the batches of an order of rows, from any batch on, so that a resumed epoch goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import psutil

from training.contract import Array, Split, Task
from training.loop import batches
from training.loop.group import Group, shared_out

RESIDENT_SHARE = 0.25
"""Part of the memory that is free of which a training split may take to be kept as tensors."""

RESIDENT_BYTES_ON_GPU = 1 << 30
"""The same on a GPU, whose memory the model needs [bytes]. Not tried on hardware."""


class Sharing(Protocol):
    """What replicas need to know of a batch."""

    def share(self, batch: Any, replica: Any) -> tuple[Any, Any, Any]:
        """A replica's part of it: inputs, targets, and the weight of each row, which sum to one over all replicas."""
        ...


class Feed(Sharing, Protocol):
    """Batches for `Learner.steps_of`. `begin` is called outside of the graph, `fetch` and `share` inside."""

    def begin(self, rows: Array, first: int) -> Any:
        """The batches of an epoch whose order is `rows`, from batch `first` on."""
        ...

    def fetch(self, source: Any, number: Any) -> Any:
        """The batch `number` (scalar int64, from 0) behind the first one, once for all replicas of this process."""
        ...


def feed_for(tf: Any, split: Split, task: Task, batch_size: int, group: Group | None = None) -> Feed:
    """Tensors where the split fits into memory a second time, else a pipeline."""
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    room = RESIDENT_BYTES_ON_GPU if on_gpu else RESIDENT_SHARE * psutil.virtual_memory().available
    kind = Resident if _bytes(split) <= room else Streamed
    return kind(tf, split, task, batch_size, group)


class Resident:
    """The whole split as tensors; a batch is gathered by the graph itself, with no Python between two steps."""

    def __init__(self, tf: Any, split: Split, task: Task, batch_size: int, group: Group | None = None) -> None:
        self._tf = tf
        self._size = batch_size
        self._replicas = group.replicas if group else 1
        self._inputs = [(each.name, each.dtype, tf.constant(_input(split, each.name))) for each in task.inputs]
        self._y = tf.constant(batches.targets_of(task, split.y))
        self._order = tf.Variable(np.zeros(split.rows, np.int64), trainable=False)

    def begin(self, rows: Array, first: int) -> Any:
        self._order.assign(rows)
        return self._tf.constant(first, self._tf.int64)

    def fetch(self, source: Any, number: Any) -> Any:
        start = (source + number) * self._size
        return self._order[start : start + self._size]

    def share(self, batch: Any, replica: Any) -> tuple[Any, Any, Any]:
        tf = self._tf
        count = tf.shape(batch)[0]
        each = -(-count // self._replicas)
        places = replica * each + tf.range(each)
        rows = batch if self._replicas == 1 else tf.gather(batch, places % count)
        inputs = {name: tf.cast(tf.gather(x, rows), dtype) for name, dtype, x in self._inputs}
        weights = tf.cast(places < count, tf.float32) / tf.cast(count, tf.float32)
        return inputs if len(inputs) > 1 else next(iter(inputs.values())), tf.gather(self._y, rows), weights


class Streamed:
    """Batches read and converted by several threads ahead of the step that needs them, in order; each process reads its own part."""

    def __init__(self, tf: Any, split: Split, task: Task, batch_size: int, group: Group | None = None) -> None:
        self._tf = tf
        self._split = split
        self._task = task
        self._size = batch_size
        self._replicas = group.replicas if group else 1
        here = self._replicas // group.workers if group else 1
        self._mine = slice(group.index * here, (group.index + 1) * here) if group else slice(0, 1)

    def begin(self, rows: Array, first: int) -> Any:
        tf, size = self._tf, self._size
        dtypes = [tf.as_dtype(each.dtype) for each in self._task.inputs]
        target = tf.int64 if self._task.kind == "classification" else tf.float32

        def read(number: Any) -> tuple[Any, ...]:
            chosen, counts = shared_out(rows[int(number) * size : (int(number) + 1) * size], self._replicas)
            x, y = batches.batch(self._split, self._task, chosen[self._mine].reshape(-1))
            weights = counts[self._mine].reshape(-1) / np.float32(counts.sum())
            return (*(x.values() if isinstance(x, dict) else (x,)), y, weights)

        def parts(number: Any) -> tuple[Any, Any, Any]:
            *x, y, weights = tf.numpy_function(read, [number], [*dtypes, target, tf.float32], stateful=False)
            for value, each in zip(x, self._task.inputs, strict=True):
                value.set_shape([None, *each.shape])
            y.set_shape([None] if target == tf.int64 else [None, None])
            weights.set_shape([None])
            named = {each.name: value for each, value in zip(self._task.inputs, x, strict=True)}
            return (named if len(named) > 1 else x[0]), y, weights

        numbers = tf.data.Dataset.range(first, batches.count(len(rows), size))
        return iter(numbers.map(parts, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE))

    def fetch(self, source: Any, number: Any) -> Any:
        return next(source)

    def share(self, batch: Any, replica: Any) -> tuple[Any, Any, Any]:
        x, y, weights = batch
        here = self._mine.stop - self._mine.start
        if here == 1:
            return x, y, weights
        tf = self._tf
        each = tf.shape(weights)[0] // here
        start = (replica - self._mine.start) * each
        return tuple(tf.nest.map_structure(lambda part: part[start : start + each], (x, y, weights)))


def _input(split: Split, name: str) -> Array:
    return np.asarray(split.x[name] if isinstance(split.x, Mapping) else split.x)


def _bytes(split: Split) -> int:
    arrays = split.x.values() if isinstance(split.x, Mapping) else (split.x,)
    return sum(int(np.prod(each.shape)) * each.dtype.itemsize for each in arrays)
