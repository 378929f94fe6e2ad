"""The Open Inference Protocol's names of types and what they are in memory and on the wire.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md ("Tensor Data Types"). BF16 is
Triton's addition; metadata names it, requests with it are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.signature import Tensor

BYTES = "BYTES"

DATATYPES: Mapping[str, str] = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "string": BYTES,
    "bfloat16": "BF16",
}
"""numpy's name of a type, or `string`, to the protocol's."""

WIRE: Mapping[str, np.dtype[Any]] = {
    name: np.dtype(dtype).newbyteorder("<") for dtype, name in DATATYPES.items() if name not in (BYTES, "BF16")
}
"""The protocol's name to the little-endian type that binary tensors have. BYTES is none: its elements have their own lengths."""

ONLY_BINARY = frozenset({"FP16"})
"""JSON has no agreed text for these."""


def datatype(dtype: str) -> str:
    """The protocol's name; for what it has none, numpy's in capitals."""
    return DATATYPES.get(dtype, dtype.upper())


def is_carried(name: str) -> bool:
    """Whether a tensor of this datatype can be sent and answered."""
    return name in WIRE or name == BYTES


def shape_text(shape: tuple[int, ...] | list[int]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"


def said(tensor: Tensor) -> str:
    """Type and shape that a model takes, for messages."""
    return f"{datatype(tensor.dtype)} {tensor.shape_text()}"
