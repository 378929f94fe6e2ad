"""What an input is compared with: something that says nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from skylift.errors import InputError
from training.contract import Array
from training.explain.inlets import Inlet, Inlets
from training.export.compare import Named
from training.loop.batches import inputs_of
from training.published import Published

CHOICES = ("auto", "zero", "mean")
MEAN_ROWS = 2000
"""Rows of the training split that the mean is taken over, evenly chosen."""


def baseline(opened: Published, inlets: Inlets, rows: Named, choice: str) -> tuple[dict[str, Any], str]:
    """What the paths begin with, by input, and what it is in words.

    `auto` is no light for images (the light background where the model learned from dark on light), the mean of the training split
    for tables, sequences and other numbers, an embedding of zeros for texts.

    Raises:
        InputError: the mean is asked for, and the model was made elsewhere.
    """
    found, said = {}, []
    for each in inlets.each:
        value, words = _one(opened, each, rows[each.given.name], choice)
        found[each.given.name] = value
        said.append(words if len(inlets.each) == 1 else f"{each.given.name}: {words}")
    return found, "; ".join(said)


def _one(opened: Published, inlet: Inlet, row: Array, choice: str) -> tuple[Any, str]:
    tf, task = opened.tf, opened.task
    here = inlet.value(tf, tf.constant(row))
    is_embedded = here.shape.rank > row.ndim
    if choice == "auto":
        if task.input_kind == "image" and len(inlet.given.shape) > 1:
            return _plain_picture(opened, inlet, row)
        choice = "zero" if is_embedded or opened.data is None else "mean"
    if choice == "mean":
        return _mean(opened, inlet)
    if is_embedded:
        return tf.zeros_like(here), "an embedding of zeros in each place"
    words = "a black image" if task.input_kind == "image" else "zeros"
    return inlet.value(tf, tf.zeros_like(tf.constant(row))), words


def _plain_picture(opened: Published, inlet: Inlet, row: Array) -> tuple[Any, str]:
    is_light = opened.task.dark_background is False
    brightest = 255 if row.max(initial=0) > 1 else 1
    plain = np.full_like(row, brightest if is_light else 0)
    return inlet.value(opened.tf, opened.tf.constant(plain)), "a white image" if is_light else "a black image"


def _mean(opened: Published, inlet: Inlet) -> tuple[Any, str]:
    if opened.data is None:
        raise InputError(
            f"{opened.name} was made elsewhere: there are no training data to take the mean of",
            hint="take `--baseline zero`",
        )
    train = opened.data.train
    chosen = np.unique(np.linspace(0, train.rows - 1, min(train.rows, MEAN_ROWS)).astype(int))
    taken = inputs_of(train, opened.task.inputs, chosen)
    column = taken[inlet.given.name] if isinstance(taken, dict) else taken
    total = sum(
        opened.tf.reduce_sum(inlet.value(opened.tf, opened.tf.constant(part)), axis=0, keepdims=True)
        for part in np.array_split(column, -(-len(column) // 256))
    )
    return total / len(column), f"the mean of {len(column)} rows of the training split"
