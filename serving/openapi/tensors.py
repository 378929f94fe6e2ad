"""Tensors as JSON schemas, and examples of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from serving.signature import ModelSignature, Tensor

Schema = dict[str, Any]

MOST_EXAMPLE_ELEMENTS = 4096
"""Longer rows are left out: a picture of 224x224 in colours would be half a megabyte of zeros."""
_FLOATS = {"float32": "float", "float64": "double"}
_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
BASE64 = {
    "type": "object",
    "description": "Bytes that are no text, as base64.",
    "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
    "required": ["b64"],
    "additionalProperties": False,
}


def has_json(tensor: Tensor) -> bool:
    """Whether TensorFlow Serving's JSON can carry it: half floats and complex numbers it cannot."""
    return tensor.dtype in _FLOATS or tensor.dtype in _WHOLE or tensor.dtype in ("bool", "string")


def scalar(dtype: str, *, has_base64: bool = True) -> Schema:
    """One element. NaN and the infinities are numbers here, too, though JSON has no way to say it."""
    if dtype in _FLOATS:
        return {"type": "number", "format": _FLOATS[dtype]}
    if dtype in _WHOLE:
        limits = np.iinfo(dtype)
        shown = {"format": dtype} if dtype in ("int32", "int64") else {}
        return {"type": "integer", **shown, "minimum": int(limits.min), "maximum": int(limits.max)}
    if dtype == "bool":
        return {"type": "boolean"}
    if dtype == "string":
        plain = {"type": "string"}
        return {"anyOf": [plain, {"$ref": "#/components/schemas/Base64"}]} if has_base64 else plain
    return {"type": "number"}


def nested(dtype: str, dims: Sequence[int | None]) -> Schema:
    """Lists in lists as a shape asks for."""
    schema = scalar(dtype)
    for size in reversed(dims):
        schema = {"type": "array", "items": schema}
        if size is not None:
            schema |= {"minItems": size, "maxItems": size}
    return schema


def whole(tensor: Tensor) -> Schema:
    """All of a tensor."""
    if tensor.shape is None:
        return {"description": f"{tensor.dtype} of any shape"}
    return {**nested(tensor.dtype, tensor.shape), "description": f"{tensor.dtype} {tensor.shape_text()}"}


def row(tensor: Tensor) -> Schema:
    """What one row has of a tensor."""
    if tensor.shape is None:
        return {"description": f"{tensor.dtype}, a row of any shape"}
    return {**nested(tensor.dtype, tensor.shape[1:]), "description": f"a row of {tensor.dtype} {tensor.shape_text()}"}


def has_rows(tensors: Sequence[Tensor]) -> bool:
    return all(tensor.shape is None or len(tensor.shape) > 0 for tensor in tensors)


# Examples


def example_shape(tensor: Tensor, rows: int = 1) -> tuple[int, ...]:
    """A shape that the tensor takes: `rows` rows, 1 wherever else a size is open."""
    shape = (None, None) if tensor.shape is None else tensor.shape
    return tuple((rows if not place else 1) if size is None else size for place, size in enumerate(shape))


def is_short(signature: ModelSignature) -> bool:
    """Whether a row is short enough to stand in the document."""
    elements = sum(math.prod(example_shape(tensor)) for tensor in signature.inputs)
    return elements <= MOST_EXAMPLE_ELEMENTS


def zeros(tensor: Tensor) -> Any:
    """Nested zeros, or `false`, or texts."""
    value: Any = {"bool": False, "string": "text"}.get(tensor.dtype, 0.0 if tensor.dtype.startswith("float") else 0)
    for size in reversed(example_shape(tensor)):
        value = [value] * size
    return value


def flat_zeros(tensor: Tensor) -> list[Any]:
    value: Any = {"bool": False, "string": "text"}.get(tensor.dtype, 0.0 if tensor.dtype.startswith("float") else 0)
    return [value] * math.prod(example_shape(tensor))


def example_rows(signature: ModelSignature) -> list[Any]:
    """`instances` of zeros: plain values for one input, objects for several."""
    if len(signature.inputs) == 1:
        value: list[Any] = zeros(signature.inputs[0])
        return value
    columns = {tensor.name: zeros(tensor) for tensor in signature.inputs}
    count = min(len(column) for column in columns.values())
    return [{name: column[index] for name, column in columns.items()} for index in range(count)]


def example_columns(signature: ModelSignature) -> Any:
    """`inputs` of zeros."""
    if len(signature.inputs) == 1:
        return zeros(signature.inputs[0])
    return {tensor.name: zeros(tensor) for tensor in signature.inputs}
