"""Batches for workers that hold no data: in the function that they are lent, or with every call of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from training.contract import Array, Split, Task
from training.loop import batches
from training.loop.feed import Resident
from training.loop.group import Group

HELD_BYTES = 64 << 20
"""Largest training split that goes to each worker once, as constants of the function; a function may have 2 GB in all."""


def lent_feed(tf: Any, split: Split, task: Task, batch_size: int, group: Group) -> Held | Sent:
    """Row numbers only where the whole split goes to the workers once, else the rows of each batch from the chief."""
    arrays = split.x.values() if isinstance(split.x, Mapping) else (split.x,)
    size = sum(int(np.prod(each.shape)) * each.dtype.itemsize for each in arrays)
    return (Held if size <= HELD_BYTES else Sent)(tf, split, task, batch_size, group)


class Held(Resident):
    """A call takes the numbers of its rows, several batches in one array `[rows] int64`."""

    def __init__(self, tf: Any, split: Split, task: Task, batch_size: int, group: Group) -> None:
        self._tf = tf
        self._size = batch_size
        self._replicas = group.replicas
        x = split.x
        self._inputs = [
            (each.name, each.dtype, np.asarray(x[each.name] if isinstance(x, Mapping) else x)) for each in task.inputs
        ]
        self._y = batches.targets_of(task, split.y)
        self.signature = [tf.TensorSpec([None], tf.int64)]

    def arguments(self, rows: Array) -> tuple[Any, ...]:
        return (self._tf.constant(rows, self._tf.int64),)

    def count(self, given: tuple[Any, ...]) -> Any:
        """Batches in the arguments of a call."""
        return -(-self._tf.shape(given[0])[0] // self._size)

    def fetch(self, source: Any, number: Any) -> Any:
        return source[0][number * self._size : (number + 1) * self._size]


class Sent:
    """A call takes its rows, several batches of inputs and targets behind each other."""

    def __init__(self, tf: Any, split: Split, task: Task, batch_size: int, group: Group) -> None:
        self._tf = tf
        self._split = split
        self._task = task
        self._size = batch_size
        self._replicas = group.replicas
        inputs = [tf.TensorSpec([None, *each.shape], each.dtype) for each in task.inputs]
        target = tf.TensorSpec(*(([None], tf.int64) if task.kind == "classification" else ([None, None], tf.float32)))
        self.signature = [*inputs, target]

    def arguments(self, rows: Array) -> tuple[Any, ...]:
        x, y = batches.batch(self._split, self._task, rows)
        inputs = x.values() if isinstance(x, dict) else (x,)
        return tuple(self._tf.constant(each) for each in (*inputs, y))

    def count(self, given: tuple[Any, ...]) -> Any:
        return -(-self._tf.shape(given[-1])[0] // self._size)

    def fetch(self, source: Any, number: Any) -> Any:
        return tuple(each[number * self._size : (number + 1) * self._size] for each in source)

    def share(self, batch: Any, replica: Any) -> tuple[Any, Any, Any]:
        tf = self._tf
        count = tf.shape(batch[-1])[0]
        each = -(-count // self._replicas)
        places = replica * each + tf.range(each)
        *x, y = (tf.gather(part, places % count) for part in batch)
        named = {given.name: value for given, value in zip(self._task.inputs, x, strict=True)}
        weights = tf.cast(places < count, tf.float32) / tf.cast(count, tf.float32)
        return (named if len(named) > 1 else x[0]), y, weights
