"""Integrated gradients (Sundararajan, Taly, Yan 2017, https://arxiv.org/abs/1703.01365), taken until they add up.

The gradient of the explained number is averaged along the straight line from a baseline to the input and multiplied by the way: each
number of the input gets its share of the difference in the output. The sum of the shares must be that difference (completeness),
which a sum over a finite number of steps only nears; the number of steps is doubled until it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.contract import Array
from training.explain.inlets import Inlets
from training.explain.result import Completeness
from training.explain.target import Target
from training.export.compare import Named

FIRST_STEPS = 64
MOST_STEPS = 4096
MOST_AT_ONCE = 64
"""Points of the path that are computed at once, where memory allows."""
NUMBERS_AT_ONCE = 2**20
"""Of the input, in all points that are computed at once: a model's own activations are many times as many."""
RELATIVE, ABSOLUTE = 0.01, 1e-4
"""The gap that is allowed: a share of the difference, or of the greatest number where the difference is nothing."""


@dataclass(frozen=True)
class Shares:
    """By input, in the shape of its row."""

    of: Named
    completeness: Completeness


def allowed(value: float, start: float) -> float:
    return max(RELATIVE * abs(value - start), ABSOLUTE * max(1.0, abs(value), abs(start)))


class Integrator:
    """Integrated gradients of one model; its gradient is compiled once for all rows of one shape."""

    def __init__(self, tf: Any, inlets: Inlets) -> None:
        self._tf, self._inlets = tf, inlets
        self._sum = tf.function(self._sum_of_gradients, autograph=False)

    def shares(
        self,
        rows: Named,
        start: dict[str, Any],
        target: Target,
        *,
        first: int = FIRST_STEPS,
        most: int = MOST_STEPS,
    ) -> Shares:
        """The shares of one row `[1, …]`.

        Args:
            start: the baseline at each inlet.
            first, most: steps, multiples of 64, to begin with, and to end with where the shares still do not add up.
        """
        tf, inlets = self._tf, self._inlets
        row = {name: tf.constant(array) for name, array in rows.items()}
        end = inlets.values(row)
        outputs = np.asarray(inlets.outputs(row, end))
        value = float(target.of(outputs)[0])
        begun = float(target.of(np.asarray(inlets.outputs(row, start)))[0])
        weights = tf.constant(target.weights(outputs.shape[1]))
        steps = first
        while True:
            mean = self._mean_gradient(row, start, end, weights, steps)
            shares = inlets.arrays({name: (end[name] - start[name]) * mean[name] for name in end})
            total = float(sum(each.astype(np.float64).sum() for each in shares.values()))
            found = Completeness(value, begun, total, allowed(value, begun), steps)
            if found.holds or steps >= most:
                return Shares({name: each[0] for name, each in shares.items()}, found)
            steps *= 2

    def _mean_gradient(self, row: Any, start: Any, end: Any, weights: Any, steps: int) -> dict[str, Any]:
        """At the middles of equal steps."""
        total: dict[str, Any] = {}
        for chunk in middles(steps).reshape(-1, at_once(end, MOST_AT_ONCE)):
            for name, gradient in self._sum(row, start, end, weights, self._tf.constant(chunk)).items():
                total[name] = gradient + total[name] if name in total else gradient
        return {name: each / steps for name, each in total.items()}

    def _sum_of_gradients(self, row: Any, start: Any, end: Any, weights: Any, points: Any) -> dict[str, Any]:
        tf = self._tf
        many = {name: tf.repeat(each, points.shape[0], axis=0) for name, each in row.items()}
        values = {name: along(tf, start[name], end[name], points) for name in end}
        found = gradient_of(tf, self._inlets, many, values, lambda outputs: outputs @ weights)
        return {name: tf.reduce_sum(each, axis=0, keepdims=True) for name, each in found.items()}


def at_once(values: dict[str, Any], most: int) -> int:
    """How many points, a power of two, for rows `[1, …]` of such sizes."""
    numbers: int = sum(int(np.prod(each.shape, dtype=int)) for each in values.values())
    doublings = max(0, (NUMBERS_AT_ONCE // max(numbers, 1)).bit_length() - 1)
    return min(most, 1 << doublings)


def middles(steps: int) -> Array:
    """The middles of equal steps from 0 to 1."""
    return (np.arange(steps, dtype=np.float32) + 0.5) / steps


def along(tf: Any, start: Any, end: Any, points: Any) -> Any:
    """Points of the path, one a row."""
    shaped = tf.reshape(points, [-1] + [1] * (end.shape.rank - 1))
    return start + shaped * (end - start)


def gradient_of(tf: Any, inlets: Inlets, rows: dict[str, Any], values: dict[str, Any], number: Any) -> dict[str, Any]:
    """The gradient of `number(outputs)`, one a row, at the inlets' values."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        explained = number(inlets.outputs(rows, values))
    found: dict[str, Any] = tape.gradient(explained, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return found
