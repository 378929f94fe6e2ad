"""The fast path: one numeric input of a fixed row shape, nothing odd in the body. Whatever it is not sure of, it leaves.

simdjson puts all numbers of nested lists into one buffer without regard to the nesting, so the nesting is compared apart: what is
left of the body without its numbers must be the very brackets and commas that the signature's shape asks for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from serving.backends.base import Array
from serving.http.json_in import Decoded
from serving.signature import DEFAULT_SIGNATURE, ModelSignature, Tensor

_NOT_STRUCTURE = bytes(set(range(256)) - set(b"[],"))
_BUFFERS = {
    "float32": ("d", np.float64),
    "float64": ("d", np.float64),
    "int32": ("i", np.int64),
    "int64": ("i", np.int64),
}
_KEPT_SKELETONS = 256


class FastDecoder:
    """Reads `{"instances": [...]}` and `{"inputs": [...]}` for one signature. For one thread."""

    def __init__(self, tensor: Tensor, row_shape: tuple[int, ...]) -> None:
        import simdjson

        self._parser: Any = simdjson.Parser()
        self._name = tensor.name
        self._dtype = np.dtype(tensor.dtype)
        self._buffer, self._buffer_dtype = _BUFFERS[tensor.dtype]
        self._row_shape = row_shape
        self._row_size = math.prod(row_shape)
        self._row = _skeleton(row_shape)
        self._skeletons: dict[int, bytes] = {}

    def decode(self, body: bytes) -> Decoded | None:
        """The request, or None where the exact path must look."""
        try:
            found = self._numbers(body)
        except (ValueError, TypeError, RuntimeError, AttributeError):
            return None
        if found is None:
            return None
        is_row_format, flat = found
        rows = flat.size // self._row_size
        if rows * self._row_size != flat.size or not rows:
            return None
        if body.translate(None, _NOT_STRUCTURE) != self._skeleton_of(rows):
            return None
        values = self._convert(flat)
        if values is None:
            return None
        array = values.reshape(rows, *self._row_shape)
        return Decoded(DEFAULT_SIGNATURE, {self._name: array}, is_row_format)

    def _numbers(self, body: bytes) -> tuple[bool, Array] | None:
        # Every reference into the document must be gone before the parser is used again: it owns the memory.
        document = self._parser.parse(body)
        keys = list(document.keys())
        if keys != ["instances"] and keys != ["inputs"]:
            return None
        values = document[keys[0]]
        buffer = values.as_buffer(of_type=self._buffer)
        del values, document
        return keys[0] == "instances", np.frombuffer(buffer, dtype=self._buffer_dtype)

    def _convert(self, flat: Array) -> Array | None:
        if self._dtype == np.int32 and (flat.min() < -(2**31) or flat.max() >= 2**31):
            return None
        with np.errstate(over="ignore"):  # too great is infinite, as in the original
            return flat.astype(self._dtype)

    def _skeleton_of(self, rows: int) -> bytes:
        skeleton = self._skeletons.get(rows)
        if skeleton is None:
            skeleton = b"[" + b",".join([self._row] * rows) + b"]"
            if len(self._skeletons) < _KEPT_SKELETONS and len(skeleton) < 1_000_000:
                self._skeletons[rows] = skeleton
        return skeleton


def decoder(signature: ModelSignature) -> FastDecoder | None:
    """A fast path for this signature, or None where there is none."""
    if len(signature.inputs) != 1:
        return None
    tensor = signature.inputs[0]
    row_shape = tensor.row_shape
    if row_shape is None or tensor.dtype not in _BUFFERS or 0 in row_shape:
        return None
    try:
        return FastDecoder(tensor, row_shape)
    except ImportError:
        return None


def _skeleton(shape: tuple[int, ...]) -> bytes:
    """Brackets and commas of one row.

    Examples:
        >>> _skeleton((2, 3))
        b'[[,,],[,,]]'
    """
    text = b""
    for size in reversed(shape):
        text = b"[" + b",".join([text] * size) + b"]"
    return text
