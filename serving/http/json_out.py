"""Answers: TensorFlow Serving's row and column formats."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from serving.backends.base import Array
from serving.http.json_in import BadRequestError
from serving.signature import TENSORFLOW_NAMES

_WRITABLE = {
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
    "object",
}

_USUAL = {np.dtype(name) for name in ("float32", "float64", "int32", "int64")}


def rows(outputs: Mapping[str, Array]) -> bytes:
    """`{"predictions": [...]}`: a value a row where there is one output, else an object a row.

    Raises:
        BadRequestError: the outputs have no rows, or not the same number.
    """
    size = None
    for name in sorted(outputs):
        value = outputs[name]
        if not value.ndim:
            raise BadRequestError(f"Tensor name: {name} has no shape information ")
        if size is not None and len(value) != size:
            raise BadRequestError(f"Tensor name: {name} has inconsistent batch size: {len(value)} expecting: {size}")
        size = len(value)
    if len(outputs) == 1:
        ((name, value),) = outputs.items()
        return b'{"predictions":' + dump(name, value) + b"}"
    return b'{"predictions":[' + b",".join(_row(outputs, index) for index in range(size or 0)) + b"]}"


def columns(outputs: Mapping[str, Array]) -> bytes:
    """`{"outputs": ...}`: the value where there is one output, else an object of all."""
    if len(outputs) == 1:
        ((name, value),) = outputs.items()
        return b'{"outputs":' + dump(name, value) + b"}"
    return b'{"outputs":' + _object(outputs) + b"}"


def _row(outputs: Mapping[str, Array], index: int) -> bytes:
    return _object({name: np.asarray(value[index], dtype=value.dtype) for name, value in outputs.items()})


def _object(values: Mapping[str, Array]) -> bytes:
    return b"{" + b",".join(orjson.dumps(name) + b":" + dump(name, value) for name, value in values.items()) + b"}"


def dump(name: str, value: Array) -> bytes:
    """One output as JSON; its name decides whether strings are told as base64."""
    if value.dtype in _USUAL and value.flags.c_contiguous and value.ndim:
        plain = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
        if b"null" not in plain:  # which stands for NaN and Infinity
            return plain
    kind = value.dtype.name
    if kind not in _WRITABLE:
        raise BadRequestError(f"Failed to write JSON value for tensor type: {TENSORFLOW_NAMES.get(kind, kind)}")
    if kind == "object":
        texts = _texts(value.tolist(), as_base64=name.endswith("_bytes"))
        return json.dumps(texts, ensure_ascii=False).encode("utf-8", "surrogateescape")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        # orjson has no NaN and Infinity. `str` of a numpy float is its shortest text, where `float` of a float32 is not.
        exact = np.array([float(str(number)) for number in value.ravel()], dtype=object).reshape(value.shape)
        return json.dumps(exact.tolist()).encode()
    if not value.ndim:
        return orjson.dumps(value[()], option=orjson.OPT_SERIALIZE_NUMPY)
    return orjson.dumps(np.ascontiguousarray(value), option=orjson.OPT_SERIALIZE_NUMPY)


def _texts(value: Any, *, as_base64: bool) -> Any:
    if isinstance(value, list):
        return [_texts(item, as_base64=as_base64) for item in value]
    raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    if as_base64:
        return {"b64": base64.b64encode(raw).decode("ascii")}
    return raw.decode("utf-8", "surrogateescape")


def numbers(values: Array) -> list[bytes]:
    """Each number of a row as JSON."""
    return [dump("", np.asarray(value, values.dtype)) for value in values]


def text(value: str) -> bytes:
    """A text as JSON; bytes that are no UTF-8 stay as they are."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
