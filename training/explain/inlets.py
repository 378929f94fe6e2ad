"""Where the path of integrated gradients runs: over a float input itself, over what an embedding makes of whole numbers."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from skylift.errors import InputError
from training.contract import Input, Task
from training.explain.inside import consumer, replaced
from training.export.compare import Named


@dataclass(frozen=True)
class Inlet:
    """One input. `maker` is the operation behind it where the input is whole numbers, which have no gradient."""

    given: Input
    maker: Any | None

    def value(self, tf: Any, rows: Any) -> Any:
        """What the path runs over for these rows."""
        return tf.cast(rows, tf.float32) if self.maker is None else tf.cast(self.maker(rows), tf.float32)

    def collapsed(self, tf: Any, shares: Any) -> Any:
        """Shares `[rows, *shape of the input]`: those of an embedding's numbers are added up."""
        rank = len(self.given.shape) + 1
        return tf.reduce_sum(shares, list(range(rank, shares.shape.rank))) if shares.shape.rank > rank else shares


class Inlets:
    """All inputs of a model, and the model as a function of what the paths run over."""

    def __init__(self, tf: Any, model: Any, task: Task) -> None:
        self._tf, self._model = tf, model
        self.each = tuple(_inlet(model, each, len(task.inputs)) for each in task.inputs)

    def values(self, rows: Any) -> dict[str, Any]:
        return {each.given.name: each.value(self._tf, rows[each.given.name]) for each in self.each}

    def outputs(self, rows: Any, values: dict[str, Any]) -> Any:
        """The model's outputs `[rows, n]` for rows whose inlets have other values."""
        tf, given = self._tf, dict(rows)
        with ExitStack() as stack:
            for each in self.each:
                value = values[each.given.name]
                if each.maker is None:
                    given[each.given.name] = value
                else:
                    stack.enter_context(replaced(each.maker, _always(tf, value)))
            inputs = given if len(self.each) > 1 else given[self.each[0].given.name]
            outputs = self._model(inputs, training=False)
        return tf.reshape(tf.cast(outputs, tf.float32), [tf.shape(outputs)[0], -1])

    def arrays(self, shares: dict[str, Any]) -> Named:
        return {each.given.name: np.asarray(each.collapsed(self._tf, shares[each.given.name])) for each in self.each}


def _always(tf: Any, value: Any) -> Any:
    return lambda *_args, **_kwargs: tf.identity(value)


def _inlet(model: Any, given: Input, count: int) -> Inlet:
    if given.dtype.startswith("float"):
        return Inlet(given, None)
    tensors = [each for each in getattr(model, "inputs", None) or () if count == 1 or each.name == given.name]
    if tensors and "float" in str(tensors[0].dtype):
        return Inlet(given, None)
    maker = consumer(model, tensors[0]) if tensors else None
    if maker is None:
        raise InputError(
            f"integrated gradients need numbers without steps, and input {given.name!r} is {given.dtype} "
            "with no embedding or scaling behind it",
            hint="put an Embedding, Rescaling or a layer of yours that gives floats first; permutation and shap need none",
        )
    return Inlet(given, maker)
