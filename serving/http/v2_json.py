"""Tensors as JSON: numbers straight from the text into an array where that is exact, element by element where it is not."""

from __future__ import annotations

import base64
import binascii
import json
import math
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import orjson

from serving.backends.base import Array
from serving.http import v2_head
from serving.http.json_in import BadRequestError
from serving.http.v2_types import BYTES, WIRE, shape_text

_NOT_STRUCTURE = bytes(set(range(256)) - set(b"[],"))
_BUFFERS: dict[str, tuple[str, type[Any]]] = {"f": ("d", np.float64), "i": ("i", np.int64), "u": ("u", np.uint64)}
_PIECE_BYTES = 500_000


class Reader:
    """Reads the `data` of inputs. For one thread."""

    def __init__(self) -> None:
        try:
            import simdjson
        except ImportError:
            self._parser: Any = None
        else:
            self._parser = simdjson.Parser()

    def read(self, name: str, datatype: str, shape: tuple[int, ...], data: object, *, is_base64: bool) -> Array:
        """The tensor. `data` is flat or nested exactly as `shape`, in row-major order.

        Raises:
            BadRequestError: the number of elements, the nesting or an element is not what it should be.
        """
        if isinstance(data, msgspec.Raw):
            if (quick := self._quick(datatype, shape, data)) is not None:
                return quick
            data = v2_head.loads(bytes(data))
        values = _flat(name, data, shape)
        return _array(name, datatype, values, is_base64=is_base64).reshape(shape)

    def _quick(self, datatype: str, shape: tuple[int, ...], data: msgspec.Raw) -> Array | None:
        """Numbers without anything odd, or None where the exact way must look."""
        wire = WIRE.get(datatype)
        text = bytes(data)
        if wire is None or self._parser is None or wire.kind not in _BUFFERS or text[:1] != b"[":
            return None
        of_type, dtype = _BUFFERS[wire.kind]
        # All numbers come in one buffer whatever their nesting, so that is compared apart.
        is_nested = text.find(b"[", 1) >= 0
        if is_nested and not _is_nested_as(text, shape):
            return None
        if len(text) > _PIECE_BYTES:
            flat = text.translate(None, b"[]") if is_nested else text[1:-1]
            del text
            return self._in_pieces(flat, of_type, dtype, wire, shape)
        numbers = self._numbers(text, of_type, dtype)
        if numbers is None or numbers.size != math.prod(shape):
            return None
        array = _narrow(numbers, wire)
        return None if array is None else array.reshape(shape)

    def _in_pieces(
        self, text: bytes, of_type: str, dtype: type[Any], wire: np.dtype[Any], shape: tuple[int, ...]
    ) -> Array | None:
        """Numbers between commas, a piece at a time: a parser needs several times the memory of what it reads."""
        count = math.prod(shape)
        if count > len(text):
            return None
        array, filled, start = np.empty(count, wire), 0, 0
        while start < len(text):
            end = text.find(b",", start + _PIECE_BYTES)
            end = len(text) if end < 0 else end
            numbers = self._numbers(b"[%b]" % text[start:end], of_type, dtype)
            narrow = None if numbers is None else _narrow(numbers, wire)
            if narrow is None or not narrow.size or filled + narrow.size > count:
                return None
            array[filled : filled + narrow.size] = narrow
            filled, start = filled + narrow.size, end + 1
        return array.reshape(shape) if filled == count else None

    def _numbers(self, text: bytes, of_type: str, dtype: type[Any]) -> Array | None:
        # No reference into a document may live on when its parser is used again: it owns the memory.
        try:
            return np.frombuffer(self._parser.parse(text).as_buffer(of_type=of_type), dtype=dtype)
        except (ValueError, TypeError, RuntimeError, AttributeError):
            return None


def texts(values: list[bytes]) -> Array:
    """The elements of a BYTES tensor as a flat array."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def write(name: str, value: Array, *, as_base64: bool = False) -> bytes:
    """All elements in one flat list. NaN and Infinity are bare, as Triton and TensorFlow Serving write them.

    Raises:
        BadRequestError: bytes that are no text, or floats that JSON has no agreed text for.
    """
    if value.dtype == object:
        return _write_bytes(name, value, as_base64=as_base64)
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        # orjson has no NaN and Infinity. `str` of a numpy float is its shortest text, where `float` of a float32 is not.
        return json.dumps([float(str(number)) for number in value.ravel()]).encode()
    return orjson.dumps(np.ascontiguousarray(value).ravel(), option=orjson.OPT_SERIALIZE_NUMPY)


def _write_bytes(name: str, value: Array, *, as_base64: bool) -> bytes:
    raw = [item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogateescape") for item in value.ravel()]
    if as_base64:
        return orjson.dumps([base64.b64encode(item).decode("ascii") for item in raw])
    try:
        return orjson.dumps([item.decode("utf-8") for item in raw])
    except UnicodeDecodeError:
        raise BadRequestError(
            f'output "{name}" holds bytes that are no UTF-8 text: ask for it with the parameter "binary_data": true, '
            'or "content_type": "base64"'
        ) from None


# How lists are nested


def _is_nested_as(text: bytes, shape: tuple[int, ...]) -> bool:
    # Longer than the text itself, it cannot be what is left of the text: not built, for its size is the client's choice.
    lists = sum(math.prod(shape[:rank]) for rank in range(len(shape)))
    if not shape or 0 in shape or 2 * lists + math.prod(shape) > len(text):
        return False
    return text.translate(None, _NOT_STRUCTURE) == _skeleton(shape)


def _skeleton(shape: tuple[int, ...]) -> bytes:
    """Brackets and commas of a list of this shape.

    Examples:
        >>> _skeleton((2, 3))
        b'[[,,],[,,]]'
    """
    row = _row_skeleton(shape[1:]) if math.prod(shape[1:]) < 100_000 else _built(shape[1:])
    return b"[" + b",".join([row] * shape[0]) + b"]"


@lru_cache(maxsize=64)
def _row_skeleton(shape: tuple[int, ...]) -> bytes:
    return _built(shape)


def _built(shape: tuple[int, ...]) -> bytes:
    text = b""
    for size in reversed(shape):
        text = b"[" + b",".join([text] * size) + b"]"
    return text


def _flat(name: str, data: Any, shape: tuple[int, ...]) -> list[Any]:
    """The elements in order, of a flat list or of one nested as `shape`."""
    if not isinstance(data, list):
        raise BadRequestError(f'input "{name}": data is {v2_head.kind(data)}, expected a list')
    if any(isinstance(item, list) for item in data):
        return _unnested(name, data, shape)
    if len(data) != math.prod(shape):
        raise BadRequestError(
            f'input "{name}": data has {len(data)} elements, shape {shape_text(shape)} asks for {math.prod(shape)}'
        )
    return data


def _unnested(name: str, data: list[Any], shape: tuple[int, ...]) -> list[Any]:
    items: list[Any] = [data]
    for level, size in enumerate(shape):
        for index, item in enumerate(items):
            if not isinstance(item, list) or len(item) != size:
                got = f"a list of {len(item)}" if isinstance(item, list) else v2_head.kind(item)
                raise BadRequestError(
                    f'input "{name}": data{_place(index, shape[:level])} is {got}, '
                    f"shape {shape_text(shape)} asks for a list of {size} there"
                )
        items = list(chain.from_iterable(items))
    for index, item in enumerate(items):
        if isinstance(item, list):
            raise BadRequestError(
                f'input "{name}": data{_place(index, shape)} is a list, '
                f"shape {shape_text(shape)} asks for an element there"
            )
    return items


def _place(index: int, shape: tuple[int, ...]) -> str:
    places = []
    for size in reversed(shape):
        index, place = divmod(index, size)
        places.append(f"[{place}]")
    return "".join(reversed(places))


# Elements


def _array(name: str, datatype: str, values: list[Any], *, is_base64: bool) -> Array:
    if datatype == BYTES:
        return texts([_bytes(name, index, item, is_base64=is_base64) for index, item in enumerate(values)])
    wire = WIRE[datatype]
    if wire.kind == "b":
        return np.array(_checked(name, datatype, values, (bool,)), dtype=np.bool_)
    if wire.kind == "f":
        with np.errstate(over="ignore"):
            return np.array(list(map(_float, _checked(name, datatype, values, (float, int))))).astype(wire)
    limits = np.iinfo(wire)
    for index, item in enumerate(_checked(name, datatype, values, (int,))):
        if not limits.min <= item <= limits.max:
            raise BadRequestError(
                f'input "{name}": element {index} is {item}, {datatype} goes from {limits.min} to {limits.max}'
            )
    return np.array(values, dtype=wire)


def _checked(name: str, datatype: str, values: list[Any], types: tuple[type, ...]) -> list[Any]:
    for index, item in enumerate(values):
        if type(item) not in types:
            raise _wrong_element(name, index, item, datatype)
    return values


def _wrong_element(name: str, index: int, item: Any, datatype: str) -> BadRequestError:
    shown = f" ({item})" if isinstance(item, bool | int | float) else ""
    return BadRequestError(f'input "{name}": element {index} is {v2_head.kind(item)}{shown}, expected {datatype}')


def _bytes(name: str, index: int, item: Any, *, is_base64: bool) -> bytes:
    if not isinstance(item, str):
        raise _wrong_element(name, index, item, BYTES)
    try:
        return base64.b64decode(item, validate=True) if is_base64 else item.encode("utf-8")
    except binascii.Error:
        raise BadRequestError(f'input "{name}": element {index} is no base64') from None
    except ValueError:
        what = "a character that base64 does not have" if is_base64 else "half of a surrogate pair"
        raise BadRequestError(f'input "{name}": element {index} has {what}') from None


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _narrow(numbers: Array, wire: np.dtype[Any]) -> Array | None:
    """The numbers in the type that a tensor has; None where an integer does not fit."""
    if wire.itemsize == numbers.itemsize:
        return numbers
    if wire.kind == "f":
        with np.errstate(over="ignore"):  # too great is infinite, as on the exact way
            return numbers.astype(wire)
    limits = np.iinfo(wire)
    fits = not numbers.size or (numbers.min() >= limits.min and numbers.max() <= limits.max)
    return numbers.astype(wire) if fits else None
