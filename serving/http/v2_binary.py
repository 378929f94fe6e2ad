"""Tensors as bytes behind the JSON: the binary tensor data extension.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md: little-endian, row-major, without
padding; an element of BYTES is its length in four bytes and then itself.
"""

from __future__ import annotations

import math
import struct
import sys
from typing import Any

import numpy as np

from serving.backends.base import Array
from serving.http.json_in import BadRequestError
from serving.http.v2_json import texts
from serving.http.v2_types import BYTES, WIRE, shape_text

LENGTH_HEADER = "Inference-Header-Content-Length"
_LENGTH = struct.Struct("<I")


class Tail:
    """The bytes behind the JSON, taken by one tensor after the other.

    Args:
        body: the whole request.
        start: where the JSON ends; None where the request did not say, so that there are none.
    """

    def __init__(self, body: bytes, start: int | None) -> None:
        self._body = body
        self._has_start = start is not None
        self._at = len(body) if start is None else start

    def take(self, name: str, datatype: str, shape: tuple[int, ...], size: int) -> Array:
        """The next `size` bytes as a tensor; where alignment allows, a read-only view of the body.

        Raises:
            BadRequestError: the body has not so many, the shape asks for another number, or they are no such elements.
        """
        start = self._at
        left = len(self._body) - start
        if size > left:
            if not self._has_start:
                raise BadRequestError(
                    f'input "{name}": binary_data_size is given, but the request has no header {LENGTH_HEADER} '
                    "to say where its JSON ends"
                )
            raise BadRequestError(
                f'input "{name}": binary_data_size is {size}, but at byte {start} the body has {left} bytes left'
            )
        self._at = start + size
        if datatype == BYTES:
            return _bytes(name, self._body, start, size, math.prod(shape)).reshape(shape)
        return _numbers(name, self._body, start, size, WIRE[datatype], shape)

    def end(self) -> None:
        """Nothing may be left.

        Raises:
            BadRequestError: bytes that no input has asked for.
        """
        if self._at != len(self._body):
            raise BadRequestError(
                f"the body has {len(self._body) - self._at} bytes more than its inputs name, from byte {self._at} on"
            )


def pack(value: Array) -> memoryview:
    """A tensor's bytes, without a copy where it is laid out that way already."""
    if value.dtype == object:
        parts: list[bytes] = []
        for item in value.ravel():
            raw = item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogateescape")
            parts += (_LENGTH.pack(len(raw)), raw)
        return memoryview(b"".join(parts))
    if sys.byteorder == "big" or not value.flags.c_contiguous:
        value = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    return value.data


def _numbers(name: str, body: bytes, start: int, size: int, wire: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    count = math.prod(shape)
    if size != count * wire.itemsize:
        raise BadRequestError(
            f'input "{name}": binary_data_size is {size}, shape {shape_text(shape)} asks for {count} elements of '
            f"{wire.itemsize} bytes, {count * wire.itemsize} in all"
        )
    array = np.frombuffer(body, wire, count, start) if count else np.empty(0, wire)
    if wire.kind == "b":
        _check_bools(name, array, start)
    if not array.flags.aligned:
        array = array.copy()  # runtimes compute on it in place, and not all of them with unaligned loads
    return array.reshape(shape)


def _check_bools(name: str, array: Array, start: int) -> None:
    raw = array.view(np.uint8)
    if raw.size and raw.max() > 1:
        index = int(np.argmax(raw > 1))
        raise BadRequestError(
            f'input "{name}": element {index} of BOOL, at byte {start + index} of the body, is {raw[index]}, '
            "expected 0 or 1"
        )


def _bytes(name: str, body: bytes, start: int, size: int, count: int) -> Array:
    if 4 * count > size:
        raise BadRequestError(
            f'input "{name}": binary_data_size is {size}, {count} elements of BYTES take at least {4 * count} bytes'
        )
    values: list[bytes] = []
    at, end = start, start + size
    for index in range(count):
        length = _LENGTH.unpack_from(body, at)[0] if end - at >= 4 else None
        if length is None or length > end - at - 4:
            wanted = "four bytes of length" if length is None else f"{length} bytes behind its length"
            left = end - at if length is None else end - at - 4
            raise BadRequestError(
                f'input "{name}": element {index} of {count}, at byte {at} of the body, wants {wanted}, '
                f"its tensor has {left} left"
            )
        at += 4 + length
        values.append(bytes(body[at - length : at]))
    if at != end:
        raise BadRequestError(
            f'input "{name}": binary_data_size is {size}, but its {count} elements of BYTES end {end - at} bytes '
            f"before that, at byte {at} of the body"
        )
    return texts(values)
