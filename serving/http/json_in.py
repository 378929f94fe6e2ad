"""Request bodies, exactly: TensorFlow Serving's reading of JSON, its strict types, its checks and their messages.

This is the slow path, which also explains what is wrong; `json_fast` takes the plain numeric bodies that it is sure of.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from serving.backends.base import Array
from serving.signature import TENSORFLOW_NAMES, ModelSignature, Tensor

_DEBUG_LENGTH = 256
_MOST_DIMS = 32
_INT_RANGES: dict[str, tuple[int, int]] = {
    "int8": (-(2**31), 2**31 - 1),  # the original asks for an int32 and lets the rest wrap around
    "int16": (-(2**31), 2**31 - 1),
    "uint8": (-(2**31), 2**31 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
_DECODER = json.JSONDecoder()
_LONE_SURROGATE = re.compile(
    r"(?<!\\)(?:\\\\)*"
    r"(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)


class BadRequestError(Exception):
    """A client's mistake. `is_found` says whether a model was found, whose version the answer then names."""

    def __init__(self, message: str, *, status: int = 400, is_found: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.is_found = is_found


@dataclass(slots=True, frozen=True)
class Decoded:
    """A request's tensors. `is_row_format` decides the form of the answer."""

    signature: str
    inputs: dict[str, Array]
    is_row_format: bool
    outputs: tuple[str, ...] = ()
    """Those that are wanted; none means all."""


def parse(body: bytes) -> dict[str, Any]:
    """The body's first JSON value, which must be an object. NaN and Infinity are numbers; what stands behind it does not matter."""
    text = body.decode("utf-8", "surrogateescape").lstrip("\ufeff \t\r\n")
    if not text:
        raise BadRequestError("JSON Parse error: The document is empty", is_found=False)
    try:
        document, _ = _DECODER.raw_decode(text)
    except json.JSONDecodeError as problem:
        raise BadRequestError(f"JSON Parse error: Invalid value. at offset: {problem.pos}", is_found=False) from None
    except ValueError:
        raise BadRequestError("JSON Parse error: Number too big to be stored in double.", is_found=False) from None
    except RecursionError:
        raise BadRequestError("JSON Parse error: the document is nested too deeply", is_found=False) from None
    if "\\u" in text and _LONE_SURROGATE.search(text):
        raise BadRequestError("JSON Parse error: The surrogate pair in string is invalid.", is_found=False)
    if not isinstance(document, dict):
        raise BadRequestError(f"JSON Value: {debug(document)} Is not object", is_found=False)
    return document


def signature_name(document: dict[str, Any]) -> str:
    """The signature that a request names, or an empty text."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise BadRequestError(
            f"JSON Value: {debug(document)} not formatted correctly. 'signature_name' key must be a string value.",
            is_found=False,
        )
    return name


def decode(document: dict[str, Any], name: str, signature: ModelSignature) -> Decoded:
    """The tensors of a parsed request."""
    try:
        if "instances" in document:
            inputs = _from_instances(document, signature)
            return Decoded(name, inputs, is_row_format=True, outputs=_output_filter(document, signature))
        if "inputs" in document:
            inputs = _from_inputs(document["inputs"], signature)
            return Decoded(name, inputs, is_row_format=False, outputs=_output_filter(document, signature))
    except RecursionError:
        raise BadRequestError("the lists are nested too deeply") from None
    raise BadRequestError("Missing 'inputs' or 'instances' key")


def _output_filter(document: dict[str, Any], signature: ModelSignature) -> tuple[str, ...]:
    """The outputs that a request wants; an addition of ours, named and checked as gRPC's `output_filter`."""
    wanted = document.get("output_filter")
    if wanted is None:
        return ()
    if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
        raise BadRequestError("'output_filter' must be a list of names of outputs")
    known = sorted(tensor.name for tensor in signature.outputs)
    for name in wanted:
        if name not in known:
            raise BadRequestError(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set {{{','.join(known)}}}."
            )
    return tuple(dict.fromkeys(wanted))


def _from_instances(document: dict[str, Any], signature: ModelSignature) -> dict[str, Array]:
    instances = document["instances"]
    if "inputs" in document:
        problem = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
        raise BadRequestError(f"JSON Value: {debug(document)} {problem}")
    if not isinstance(instances, list):
        raise BadRequestError(f"JSON Value: {debug(document)} Expecting 'instances' to be an list/array")
    if not instances:
        raise BadRequestError(f"JSON Value: {debug(document)} No values in 'instances' array")
    if not isinstance(instances[0], dict) and len(signature.inputs) > 1:
        raise BadRequestError(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    rows = {tensor.name: _Rows(tensor) for tensor in signature.inputs}
    if _is_named(instances[0]):
        _add_named(instances, rows)
    else:
        _add_plain(instances, rows[signature.inputs[0].name])
    return {name: one.array() for name, one in rows.items()}


def _add_plain(instances: list[Any], rows: _Rows) -> None:
    for index, item in enumerate(instances):
        if _is_named(item):
            raise BadRequestError(f"Expecting value/list but got object at item {index} of input list")
        try:
            rows.add(item)
        except BadRequestError as problem:
            raise _in_element(f"{index}", problem) from None


def _add_named(instances: list[Any], rows: dict[str, _Rows]) -> None:
    for index, item in enumerate(instances):
        if not _is_named(item):
            raise BadRequestError(f"Expecting object but got list at item {index} of input list")
        for name, value in item.items():
            try:
                if name not in rows:
                    raise BadRequestError(f"JSON object: does not have named input: {name}")
                rows[name].add(value)
            except BadRequestError as problem:
                raise _in_element(f"{index} key: {name}", problem) from None
        if item.keys() != rows.keys():
            names = ",".join(sorted(rows))
            raise BadRequestError(
                f"Failed to process element: {index} of 'instances' list. JSON object: {debug(item)} keys must be "
                f"equal to: {names}"
            )


def _in_element(where: str, problem: BadRequestError) -> BadRequestError:
    code = "UNIMPLEMENTED" if problem.status == 501 else "INVALID_ARGUMENT"
    return BadRequestError(f"Failed to process element: {where} of 'instances' list. Error: {code}: {problem}")


def _from_inputs(value: Any, signature: ModelSignature) -> dict[str, Array]:
    if not isinstance(value, dict) or is_base64(value):
        if len(signature.inputs) > 1:
            raise BadRequestError(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        tensor = signature.inputs[0]
        return {tensor.name: _whole(value, tensor)}
    arrays = {}
    for tensor in signature.inputs:
        if tensor.name not in value:
            raise BadRequestError(f"Missing named input: {tensor.name} in 'inputs' object.")
        arrays[tensor.name] = _whole(value[tensor.name], tensor)
    return arrays


class _Rows:
    """The values of one input, row by row."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor
        self._values: list[Any] = []
        self._count = 0
        self._shape: list[int] = []
        self._size = 0

    def add(self, item: Any) -> None:
        shape = _shape(item)
        _check_rank(self._tensor, 1 + len(shape))
        before = len(self._values)
        _fill(item, 0, shape, self._tensor.dtype, self._values)
        size = len(self._values) - before
        if not self._count:
            self._shape, self._size = shape, size
        elif size != self._size:
            raise BadRequestError(f"Expecting tensor size: {self._size} but got: {size}")
        elif shape != self._shape:
            raise BadRequestError(f"Expecting shape {_shape_text(self._shape)} but got: {_shape_text(shape)}")
        self._count += 1

    def array(self) -> Array:
        return _array(self._values, self._tensor.dtype).reshape(self._count, *self._shape)


def _whole(value: Any, tensor: Tensor) -> Array:
    shape = _shape(value)
    _check_rank(tensor, len(shape))
    values: list[Any] = []
    _fill(value, 0, shape, tensor.dtype, values)
    return _array(values, tensor.dtype).reshape(shape)


def _shape(value: Any) -> list[int]:
    """As the first elements have it; `_fill` finds those that differ."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _check_rank(tensor: Tensor, rank: int) -> None:
    if rank > _MOST_DIMS:
        raise BadRequestError(f'input "{tensor.name}" has {rank} dimensions, at most {_MOST_DIMS} are possible')


def _fill(value: Any, level: int, shape: list[int], dtype: str, into: list[Any]) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise BadRequestError(
                f"JSON Value: {debug(value)} found at incorrect level: {level + 1} in the JSON DOM. Expected at "
                f"level: {rank}"
            )
        into.append(_scalar(value, dtype))
        return
    if level >= rank:
        raise BadRequestError(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise BadRequestError(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _fill(item, level + 1, shape, dtype, into)


def _scalar(value: Any, dtype: str) -> Any:
    if isinstance(value, dict):
        if dtype == "string":
            return base64_bytes(value)
        raise _type_error(value, dtype)
    if dtype in ("float32", "float64"):
        if type(value) not in (int, float):
            raise _type_error(value, dtype)
        return to_float(value)
    if dtype in _INT_RANGES:
        least, most = _INT_RANGES[dtype]
        if type(value) is not int or not least <= value <= most:
            raise _type_error(value, dtype)
        return value
    if dtype == "string":
        if not isinstance(value, str):
            raise _type_error(value, dtype)
        return value.encode("utf-8", "surrogateescape")
    if dtype == "bool":
        if not isinstance(value, bool):
            raise _type_error(value, dtype)
        return value
    raise BadRequestError(
        f"Conversion of JSON Value: {debug(value)} to type: {TENSORFLOW_NAMES.get(dtype, dtype)}", status=501
    )


def to_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def base64_bytes(value: dict[str, Any]) -> bytes:
    if not is_base64(value):
        raise BadRequestError(f"JSON Value: {debug(value)} not formatted correctly for base64 data")
    text: str = value["b64"]
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequestError("Unable to base64 decode") from None


def is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _array(values: list[Any], dtype: str) -> Array:
    if dtype == "string":
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    if dtype == "float32":
        with np.errstate(over="ignore"):  # too great is infinite, as in the original
            return np.array(values, dtype=np.float64).astype(np.float32)
    if dtype in ("int8", "int16", "uint8"):
        return np.array(values, dtype=np.int64).astype(dtype)
    return np.array(values, dtype=dtype)


def _type_error(value: Any, dtype: str) -> BadRequestError:
    return BadRequestError(
        f"JSON Value: {debug(value)} Type: {type_name(value)} is not of expected type: {TENSORFLOW_NAMES[dtype]}"
    )


def type_name(value: Any) -> str:
    if isinstance(value, bool):
        return "True" if value else "False"
    names = {type(None): "Null", dict: "Object", list: "Array", str: "String", int: "Number", float: "Number"}
    return names[type(value)]


def _shape_text(shape: list[int]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"


def debug(value: Any) -> str:
    """The value as JSON, cut where it gets long. Built piece by piece: a great body is not written out to be cut."""
    text = ""
    try:
        for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
            text += piece
            if len(text) > _DEBUG_LENGTH:
                return text[:_DEBUG_LENGTH] + "...TRUNCATED"
    except RecursionError:
        return text + "..."
    return text
