"""Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391): where a convolutional model looks for a class.

The last maps that a convolution leads to, each weighed by how much the class's score (before the softmax) grows with it on average;
what speaks against the class is cut off. Coarse as those maps are, and enlarged to the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skylift.errors import InputError
from training.contract import Array
from training.explain.inside import before_the_end, leaves, watched
from training.explain.target import Target
from training.export.compare import Named
from training.published import Published

FEW = 9
"""Places of a map; one of fewer says little of where."""


def is_convolution(keras: Any, layer: Any) -> bool:
    kinds = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose")
    return isinstance(layer, tuple(getattr(keras.layers, kind) for kind in kinds))


def grad_cam(opened: Published, rows: Named, target: Target) -> tuple[Array, str]:
    """The map in the size of the image, 0 to 1, and where in the model it was taken.

    Raises:
        InputError: the model gives no maps.
    """
    tf, keras, model = opened.tf, opened.keras, opened.model
    seen: list[tuple[Any, Any]] = []
    name = opened.task.inputs[0].name
    image = tf.constant(rows[name])
    with tf.GradientTape() as tape:

        def note(layer: Any, output: Any) -> None:
            if tf.is_tensor(output) and output.shape.rank == 4 and min(output.shape[1:3]) > 1:
                tape.watch(output)
                seen.append((layer, output))

        with before_the_end(keras, model), watched(leaves(model), note):
            outputs = model(image, training=False)
        score = target.raw(tf.reshape(tf.cast(outputs, tf.float32), [1, -1]))[0]
    layer, maps = _last(keras, seen, opened.name)
    gradient = tape.gradient(score, maps, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1, keepdims=True))
    large = np.asarray(tf.image.resize(heat, image.shape[1:3], method="bilinear"))[0, ..., 0]
    most = float(large.max(initial=0.0))
    height, width = maps.shape[1:3]
    where = f"layer {layer.name!r}, {height} × {width} places" + (
        ": too coarse to point" if height * width < FEW else ""
    )
    return large / most if most > 0 else large, where


def _last(keras: Any, seen: list[tuple[Any, Any]], name: str) -> tuple[Any, Any]:
    """The last maps of the size that the last convolution gives: behind an addition those of both ways."""
    convolved = [output.shape[1:3] for layer, output in seen if is_convolution(keras, layer)]
    if not convolved:
        raise InputError(f"{name} has no convolution whose maps are larger than one place", hint="leave --method out")
    return next((layer, output) for layer, output in reversed(seen) if output.shape[1:3] == convolved[-1])
