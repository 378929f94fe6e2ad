"""What the heads of a Transformer attend to, and the rollout over its layers (Abnar and Zuidema 2020, https://arxiv.org/abs/2005.00928).

Attention says where numbers come from, not what is made of them: it is no measure of importance.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from skylift.errors import InputError
from training.contract import Array
from training.explain.inside import leaves, replaced
from training.export.compare import Named
from training.published import Published


@dataclass(frozen=True)
class Attention:
    """How much of what the model ends with comes from each place.

    Args:
        rollout: `[places]`, adds up to 1.
        layers: `[heads, places]` of each layer, each head adds up to 1.
    """

    rollout: Array
    layers: tuple[Array, ...]


def attention_layers(keras: Any, model: Any) -> list[Any]:
    kinds = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
    return [layer for layer in leaves(model) if isinstance(layer, kinds)]


def attention(opened: Published, rows: Named) -> Attention:
    """The model's attention for one row; each layer's and the rollout's mean over the places that ask.

    Raises:
        InputError: no attention of the row to itself.
    """
    scores = _scores(opened, rows)
    row = rows[opened.task.inputs[0].name][0]
    places = len(row) if row.ndim else 0
    own = [each for each in scores if each.shape[-2:] == (places, places)]
    if not own:
        raise InputError(
            f"{opened.name} has no attention from each place of its input to each", hint="leave --method out"
        )
    asking = (
        np.flatnonzero(row.reshape(places, -1).any(axis=1)) if opened.task.input_kind == "text" else np.arange(places)
    )
    if not len(asking):
        asking = np.arange(places)
    flow = np.eye(places)
    for each in own:
        mixed = 0.5 * each.mean(axis=0) + 0.5 * np.eye(places)  # half goes around the layer
        flow = mixed / mixed.sum(axis=-1, keepdims=True) @ flow
    return Attention(flow[asking].mean(axis=0), tuple(each[:, asking].mean(axis=1) for each in own))


def _scores(opened: Published, rows: Named) -> list[Array]:
    """`[heads, asking, asked]` of each layer in the order in which they compute."""
    tf = opened.tf
    found: list[Array] = []

    def telling(original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            output, scores = original(*args, **{**kwargs, "return_attention_scores": True})
            found.append(np.asarray(tf.cast(scores, tf.float64))[0])
            return output

        return call

    named = {name: tf.constant(array) for name, array in rows.items()}
    with ExitStack() as stack:
        for layer in attention_layers(opened.keras, opened.model):
            stack.enter_context(replaced(layer, telling(layer.call)))
        opened.model(named if len(named) > 1 else next(iter(named.values())), training=False)
    return found
