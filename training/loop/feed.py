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

BYTES_AT_ONCE = 1 << 20
MOST_AT_ONCE = 256
"""Batches that a stream reads at a time: as many as have so many bytes, and so many at the most."""


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
    """Batches read and converted by several threads ahead of the step that needs them, in order; each process reads its own part.

    Small batches are read several at a time, for each reading goes through Python, which costs more than their rows.
    """

    def __init__(self, tf: Any, split: Split, task: Task, batch_size: int, group: Group | None = None) -> None:
        self._tf = tf
        self._split = split
        self._task = task
        self._size = batch_size
        self._replicas = group.replicas if group else 1
        here = self._replicas // group.workers if group else 1
        self._mine = slice(group.index * here, (group.index + 1) * here) if group else slice(0, 1)
        row = max(1, _bytes(split) // max(split.rows, 1))
        self._at_once = max(1, min(MOST_AT_ONCE, BYTES_AT_ONCE // (row * batch_size)))
        shapes = [(each.dtype, each.shape) for each in task.inputs]
        target = ("int64", ()) if task.kind == "classification" else ("float32", (None,))
        self._held = [_window(tf, *each) for each in (*shapes, target)]
        self._weights = tf.Variable(np.zeros(0, np.float32), trainable=False, shape=tf.TensorShape([None]))
        self._first = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._end = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._rows, self._begun = np.arange(0), 0
        self._pipeline = self._made()

    def begin(self, rows: Array, first: int) -> Any:
        self._rows, self._begun = rows, first
        self._end.assign(0)
        return iter(self._pipeline)

    def _made(self) -> Any:
        """The pipeline of any epoch, from any batch on: whole batches several at a time, then the last one where it is smaller.

        Inputs and targets are `[batches, rows, …]`, with the weights of the rows of each batch, `[rows]`.
        """
        tf = self._tf
        dtypes = [tf.as_dtype(each.dtype) for each in self._task.inputs]
        target = tf.int64 if self._task.kind == "classification" else tf.float32

        def parts(place: Any) -> tuple[Any, ...]:
            return tuple(tf.numpy_function(self._read, [place], [*dtypes, target, tf.float32], stateful=False))

        places = tf.data.Dataset.range(-(-(self._split.rows // self._size) // self._at_once) + 1)
        return places.map(parts, tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)

    def _read(self, place: Any) -> tuple[Any, ...]:
        """The batches of an element of the pipeline; behind the epoch's end some row, which nobody takes."""
        size, whole = self._size, len(self._rows) // self._size
        start = self._begun + int(place) * self._at_once
        if start < whole:
            some = self._rows[start * size : min(start + self._at_once, whole) * size].reshape(-1, size)
        else:
            rest = self._rows[whole * size :]
            some = (rest if len(rest) else self._rows[:1])[None]
        places, counts = shared_out(np.arange(some.shape[1]), self._replicas)
        chosen = some[:, places[self._mine].reshape(-1)]
        x, y = batches.batch(self._split, self._task, chosen.reshape(-1))
        weights = counts[self._mine].reshape(-1) / np.float32(counts.sum())
        parts = (*(x.values() if isinstance(x, dict) else (x,)), y)
        return *(part.reshape(*chosen.shape, *part.shape[1:]) for part in parts), weights

    def fetch(self, source: Any, number: Any) -> Any:
        tf = self._tf

        def read_on() -> None:
            *parts, weights = next(source)
            for held, part in zip(self._held, parts, strict=True):
                held.assign(tf.ensure_shape(part, held.shape))
            self._weights.assign(tf.ensure_shape(weights, [None]))
            self._first.assign(number)
            self._end.assign(number + tf.shape(parts[-1], tf.int64)[0])

        number = tf.cast(number, tf.int64)
        tf.cond(number >= self._end, read_on, lambda: None)
        *x, y = (held[number - self._first] for held in self._held)
        weights = self._weights.read_value()
        named = {each.name: value for each, value in zip(self._task.inputs, x, strict=True)}
        return (named if len(named) > 1 else x[0]), y, weights

    def share(self, batch: Any, replica: Any) -> tuple[Any, Any, Any]:
        x, y, weights = batch
        here = self._mine.stop - self._mine.start
        if here == 1:
            return x, y, weights
        tf = self._tf
        each = tf.shape(weights)[0] // here
        start = (replica - self._mine.start) * each
        return tuple(tf.nest.map_structure(lambda part: part[start : start + each], (x, y, weights)))


def _window(tf: Any, dtype: str, shape: tuple[int | None, ...]) -> Any:
    """A variable for several batches, `[batches, rows, …]`, empty yet."""
    empty = np.zeros((0, 0, *(size or 0 for size in shape)), dtype)
    return tf.Variable(empty, trainable=False, shape=tf.TensorShape([None, None, *shape]))


def _input(split: Split, name: str) -> Array:
    return np.asarray(split.x[name] if isinstance(split.x, Mapping) else split.x)


def _bytes(split: Split) -> int:
    arrays = split.x.values() if isinstance(split.x, Mapping) else (split.x,)
    return sum(int(np.prod(each.shape)) * each.dtype.itemsize for each in arrays)
