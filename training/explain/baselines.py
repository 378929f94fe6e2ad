"""What an input is compared with: something that says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skylift.errors import InputError
from training.contract import Array, Split, Task
from training.explain.inlets import Inlet, Inlets
from training.export.compare import Named
from training.loop.batches import inputs_of

CHOICES = ("auto", "zero", "mean")
MEAN_ROWS = 2000
"""Rows of the training split that the mean is taken over, evenly chosen."""


@dataclass(frozen=True)
class Baselines:
    """What baselines are made of; `train` is None for a model that was made elsewhere."""

    tf: Any
    task: Task
    train: Split | None
    choice: str = "auto"


def baseline(known: Baselines, inlets: Inlets, rows: Named) -> tuple[dict[str, Any], str]:
    """What the paths begin with, by input, and what it is in words; `rows` are one row.

    `auto` is no light for images (the light background where the model learned from dark on light), the mean of the training split
    for tables, sequences and other numbers, an embedding of zeros for texts.

    Raises:
        InputError: the mean is asked for, and the model was made elsewhere.
    """
    found, said = {}, []
    for each in inlets.each:
        value, words = _one(known, each, rows[each.given.name])
        found[each.given.name] = value
        said.append(words if len(inlets.each) == 1 else f"{each.given.name}: {words}")
    return found, "; ".join(said)


def _one(known: Baselines, inlet: Inlet, row: Array) -> tuple[Any, str]:
    tf, task, choice = known.tf, known.task, known.choice
    here = inlet.value(tf, tf.constant(row))
    is_embedded = here.shape.rank > row.ndim
    if choice == "auto":
        if task.input_kind == "image" and len(inlet.given.shape) > 1:
            return _plain_picture(known, inlet, row)
        choice = "zero" if is_embedded or known.train is None else "mean"
    if choice == "mean":
        return _mean(known, inlet)
    if is_embedded:
        return tf.zeros_like(here), "an embedding of zeros in each place"
    words = "a black image" if task.input_kind == "image" else "zeros"
    return inlet.value(tf, tf.zeros_like(tf.constant(row))), words


def _plain_picture(known: Baselines, inlet: Inlet, row: Array) -> tuple[Any, str]:
    is_light = known.task.dark_background is False
    seen = row if known.train is None else _column(known.train, known.task, inlet, MEAN_ROWS)
    brightest = 255 if seen.max(initial=0) > 1 else 1
    plain = np.full_like(row, brightest if is_light else 0)
    return inlet.value(known.tf, known.tf.constant(plain)), "a white image" if is_light else "a black image"


def _mean(known: Baselines, inlet: Inlet) -> tuple[Any, str]:
    if known.train is None:
        raise InputError(
            "the model was made elsewhere: there are no training data to take the mean of",
            hint="take `--baseline zero`",
        )
    tf, column = known.tf, _column(known.train, known.task, inlet, MEAN_ROWS)
    total = sum(
        tf.reduce_sum(inlet.value(tf, tf.constant(part)), axis=0, keepdims=True)
        for part in np.array_split(column, -(-len(column) // 256))
    )
    return total / len(column), f"the mean of {len(column)} rows of the training split"


def _column(split: Split, task: Task, inlet: Inlet, most: int) -> Array:
    """Rows of one input, evenly chosen."""
    chosen = np.unique(np.linspace(0, split.rows - 1, min(split.rows, most)).astype(int))
    taken = inputs_of(split, task.inputs, chosen)
    return taken[inlet.given.name] if isinstance(taken, dict) else taken
