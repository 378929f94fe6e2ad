"""The parts of a Transformer that reads bytes, made of what exports exactly. Keras is imported when they are made."""

from __future__ import annotations

from typing import Any


def embedding(width: int) -> Any:
    """A layer from `[batch, length] uint8` to `[batch, length, width]`: what a byte means and where it stands, and where the text ends.

    One layer, because an embedding that is shared between layers has no valid form in ONNX.
    """
    import keras
    from keras import layers, ops

    @keras.saving.register_keras_serializable("skylift")
    class Bytes(layers.Layer):  # type: ignore[misc]
        def __init__(self, width: int, **options: Any) -> None:
            super().__init__(**options)
            self.width = width

        def build(self, shape: Any) -> None:
            self.meaning = self.add_weight((256, self.width), "uniform", name="meaning")
            self.place = self.add_weight((shape[-1], self.width), "uniform", name="place")

        def call(self, row: Any) -> Any:
            return ops.take(self.meaning, ops.cast(row, "int32"), axis=0) + self.place

        def compute_mask(self, row: Any, mask: Any = None) -> Any:
            return ops.logical_or(ops.not_equal(row, 0), ops.arange(row.shape[-1]) == 0)  # of no text, the first zero

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "width": self.width}

    return Bytes(width)


def block(x: Any, heads: int, width: int, dropout: float) -> Any:
    """Attention and two dense layers over `[batch, length, width]`, each beside a way around it."""
    import keras
    from keras import layers, ops

    @keras.saving.register_keras_serializable("skylift")  # type: ignore[untyped-decorator]  # Keras has no types
    def tanh_gelu(x: Any) -> Any:
        return ops.gelu(x, approximate=True)  # the exact one has no valid form in ONNX

    y = layers.LayerNormalization()(x)
    y = layers.MultiHeadAttention(heads, max(width // heads, 1), dropout=dropout)(y, y)
    x = layers.Add()([x, layers.Dropout(dropout)(y)])
    y = layers.LayerNormalization()(x)
    y = layers.Dense(width)(layers.Dense(2 * width, activation=tanh_gelu)(y))
    return layers.Add()([x, layers.Dropout(dropout)(y)])
