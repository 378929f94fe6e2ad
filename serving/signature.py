"""What a served model takes and gives, as its own file says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from skylift.artifacts.records import TensorSpec

DEFAULT_SIGNATURE = "serving_default"
EXPLAIN_SIGNATURE = "explain"
"""What a model that was trained with `--explain` says its predictions go by (training/explain/signature.py)."""

TENSORFLOW_NAMES: Mapping[str, str] = {
    "float32": "float",
    "float64": "double",
    "float16": "half",
    "bfloat16": "bfloat16",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "bool": "bool",
    "string": "string",
    "complex64": "complex64",
    "complex128": "complex128",
}
"""numpy's name of a type to TensorFlow's, which error messages and metadata use."""


@dataclass(frozen=True)
class Tensor:
    """A named tensor. `dtype` is numpy's name, or `string`; `shape` None where the model leaves even the rank open."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    @property
    def row_shape(self) -> tuple[int, ...] | None:
        """The shape of one row if it is fixed, else None."""
        if not self.shape or self.shape[0] is not None or None in self.shape[1:]:
            return None
        return tuple(size for size in self.shape[1:] if size is not None)

    @property
    def is_batched(self) -> bool:
        """Whether the first dimension may be any number of rows."""
        return self.shape is None or (len(self.shape) > 0 and self.shape[0] is None)

    def accepts(self, shape: tuple[int, ...]) -> bool:
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            want is None or want == got for want, got in zip(self.shape, shape, strict=True)
        )

    def shape_text(self) -> str:
        if self.shape is None:
            return "any shape"
        return "[" + ",".join("?" if size is None else str(size) for size in self.shape) + "]"


@dataclass(frozen=True)
class ModelSignature:
    """One way to call a model."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def is_batched(self) -> bool:
        """Whether rows of several requests may be computed together."""
        return all(tensor.is_batched for tensor in (*self.inputs, *self.outputs))


def of_spec(spec: TensorSpec) -> Tensor:
    return Tensor(spec.name, spec.dtype, tuple(spec.shape))
