"""Masks that cross a cut: Keras keeps them beside a tensor, so a part gives them out and takes them in as tensors of their own."""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def mask_layers() -> tuple[Any, Any]:
    """The layers (TakeMask, PutMask). Call it before a part's .keras file is read: it makes them known to Keras."""
    import keras
    from keras import ops

    @keras.saving.register_keras_serializable("skylift")
    class TakeMask(keras.layers.Layer):  # type: ignore[misc]
        """The mask beside a tensor."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.supports_masking = True

        def call(self, x: Any, mask: Any = None) -> Any:
            return ops.logical_and(mask, True)

        def compute_mask(self, x: Any, previous_mask: Any = None) -> None:
            return None

    @keras.saving.register_keras_serializable("skylift")
    class PutMask(keras.layers.Layer):  # type: ignore[misc]
        """A tensor, with its mask beside it again."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**{"autocast": False, **options})

        def call(self, pair: Any) -> Any:
            return pair[0]

        def compute_mask(self, pair: Any, previous_mask: Any = None) -> Any:
            return pair[1]

        def compute_output_shape(self, shapes: Any) -> Any:
            return shapes[0]

    return TakeMask, PutMask
