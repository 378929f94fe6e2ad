"""Quantisation-aware training: the model learns on while it computes as its 8-bit form will.

TensorFlow's own tool for it (tensorflow-model-optimization) does not run on Keras 3. What it comes to is small: before each step
the kernels are rounded to 127 levels on either side of zero, channel by channel, as ONNX Runtime will round them; the step's change
goes to the unrounded ones (the straight-through estimator of Bengio et al., 2013). Outputs of layers are rounded on the way, to 256
levels between what was measured on the training split. At last the kernels are left on their grid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from training.contract import Array
from training.export import formats
from training.optimize import onnx_forms
from training.optimize.bench import CALIBRATION_ROWS, Bench, UnfitError, Variant
from training.optimize.graph import functional, nodes_of
from training.optimize.tuning import tune

LEVELS = 127
KINDS = ("Conv1D", "Conv2D", "Conv3D", "Dense")


def aware(bench: Bench) -> Variant:
    """Fine-tune so, then make the 8-bit form for ONNX Runtime.

    Raises:
        UnfitError: the model has no convolution or dense layer, or no ONNX form.
        InputError: there are no data to learn from.
    """
    bench.data("to learn from")
    model = bench.fresh()
    layers = [each for each in model._flatten_layers() if type(each).__name__ in KINDS]
    if not layers:
        raise UnfitError(
            "the model has no convolution or dense layer, whose weights it could learn to round", hint="take int8"
        )
    kernels = [each.kernel for each in layers]
    exact = [bench.tf.Variable(each.value, trainable=False) for each in kernels]
    noisy, rounded = rounding_model(bench, model)

    def before() -> None:
        for kernel, kept in zip(kernels, exact, strict=True):
            kernel.assign(on_grid(bench.tf, kept))

    def after() -> None:
        for kernel, kept in zip(kernels, exact, strict=True):
            kept.assign_add(kernel - on_grid(bench.tf, kept))

    tune(bench, noisy, before=before, after=after)
    before()
    made = bench.exported("qat", model, layers=len(layers), rounded_outputs=rounded, epochs=bench.asked.epochs)
    if "onnx" not in made.forms:
        raise UnfitError("; ".join(made.notes), hint="take another method")
    return _in_8_bits(bench, made)


def _in_8_bits(bench: Bench, made: Variant) -> Variant:
    """The variant with its 8-bit form in the place of all that compute in 32."""
    learned = made.folder / formats.ONNX
    source = learned.rename(made.folder / "learned.onnx")
    form, count = onnx_forms.int8(bench, made.folder, source)
    source.unlink()
    return Variant("qat", made.folder, {"onnx": form}, {**made.details, "onnx_operations": count})


def on_grid(tf: Any, kernel: Any) -> Any:
    """Every weight at the nearest of its output channel's 255 levels, `[…, channels]`."""
    axes = list(range(len(kernel.shape) - 1))
    step = tf.maximum(tf.reduce_max(tf.abs(kernel), axis=axes, keepdims=True), 1e-12) / LEVELS
    return tf.round(kernel / step) * step


def rounding_model(bench: Bench, model: Any) -> tuple[Any, int]:
    """The same layers and weights with every layer's output rounded, and how many outputs are."""
    keras, tf = bench.keras, bench.tf
    whole = functional(keras, model)
    ranges = _ranges(bench, whole)
    makers: dict[str, Callable[[Any], Any]] = {}
    for name, (low, high) in ranges.items():
        makers[name] = _rounding(keras, tf, name, low, high)

    def call(layer: Any, *arguments: Any, **options: Any) -> Any:
        output = layer(*arguments, **options)
        return makers[layer.name](output) if layer.name in makers else output

    return keras.models.clone_model(whole, clone_function=lambda layer: layer, call_function=call), len(ranges)


def _rounding(keras: Any, tf: Any, name: str, low: float, high: float) -> Any:
    class Rounding(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        def __init__(self) -> None:
            super().__init__(name=f"{name}_in_8_bits")
            self.supports_masking = True

        def call(self, tensor: Any) -> Any:
            return tf.quantization.fake_quant_with_min_max_args(tensor, min=low, max=high, num_bits=8)

    return Rounding()


def _ranges(bench: Bench, whole: Any) -> dict[str, tuple[float, float]]:
    """Least and greatest number that each layer of known kind gives on the calibration rows; zero is always within."""
    outputs: dict[str, Any] = {}
    for node in nodes_of(whole):
        name = type(node.operation).__name__
        is_last = any(tensor is last for tensor in node.output_tensors for last in whole.outputs)
        if name in (*KINDS, "ReLU", "Activation", "Add") and not is_last:
            outputs[node.operation.name] = node.output_tensors[0]
    if not outputs:
        return {}
    look = bench.keras.Model(whole.inputs, list(outputs.values()))
    rows = formats.rows_of(bench.task, bench.calibration(), CALIBRATION_ROWS)
    tensors = [rows[each.name] for each in whole.inputs] if len(rows) > 1 else list(rows.values())
    found: list[Array] = look(tensors, training=False)
    pairs = [(min(float(np.min(each)), 0.0), max(float(np.max(each)), 1e-6)) for each in found]
    return dict(zip(outputs, pairs, strict=True))
