"""Tensors of Open Inference Protocol v2, raw and in typed contents, to numpy and back as bytes."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from serving.backends.base import Array
from serving.grpc import tensors, varints
from serving.grpc.protos import inference_pb2, views_pb2
from serving.grpc.tensors import TensorError


@dataclass(frozen=True, slots=True)
class Datatype:
    """`field` is empty where the protocol has no contents for a type: it goes raw."""

    name: str
    dtype: str
    field: str
    is_varint: bool = False


_DATATYPES = (
    Datatype("BOOL", "bool", "bool_contents", is_varint=True),
    Datatype("UINT8", "uint8", "uint_contents", is_varint=True),
    Datatype("UINT16", "uint16", "uint_contents", is_varint=True),
    Datatype("UINT32", "uint32", "uint_contents", is_varint=True),
    Datatype("UINT64", "uint64", "uint64_contents", is_varint=True),
    Datatype("INT8", "int8", "int_contents", is_varint=True),
    Datatype("INT16", "int16", "int_contents", is_varint=True),
    Datatype("INT32", "int32", "int_contents", is_varint=True),
    Datatype("INT64", "int64", "int64_contents", is_varint=True),
    Datatype("FP16", "float16", ""),
    Datatype("BF16", "bfloat16", ""),
    Datatype("FP32", "float32", "fp32_contents"),
    Datatype("FP64", "float64", "fp64_contents"),
    Datatype("BYTES", "string", "bytes_contents"),
)
BY_NAME = {one.name: one for one in _DATATYPES}
BY_DTYPE = {one.dtype: one for one in _DATATYPES} | {"object": BY_NAME["BYTES"]}


def from_raw(raw: bytes, datatype: Datatype, shape: tuple[int, ...]) -> Array:
    """An array of an element of `raw_input_contents`; it shares its memory.

    Raises:
        TensorError: not the bytes of such a tensor.
    """
    size = math.prod(shape)
    if datatype.name == "BYTES":
        return _objects(_split(raw, size)).reshape(shape)
    dtype = tensors.BY_NAME[datatype.dtype].dtype
    if len(raw) != size * dtype.itemsize:
        raise TensorError(f"{len(raw)} bytes where shape and type make {size * dtype.itemsize}")
    if datatype.name == "BOOL":
        return np.asarray(np.frombuffer(raw, np.uint8) != 0).reshape(shape)
    return np.frombuffer(raw, dtype).reshape(shape)


def _split(raw: bytes, size: int) -> list[bytes]:
    """Strings, each after its length in 4 bytes."""
    texts: list[bytes] = []
    place = 0
    while place < len(raw):
        if place + 4 > len(raw):
            raise TensorError("a length is cut off")
        (length,) = struct.unpack_from("<I", raw, place)
        place += 4
        if place + length > len(raw):
            raise TensorError("a string is cut off")
        texts.append(raw[place : place + length])
        place += length
    if len(texts) != size:
        raise TensorError(f"{len(texts)} strings where the shape makes {size}")
    return texts


def _objects(texts: list[bytes]) -> Array:
    array = np.empty(len(texts), object)
    array[:] = texts
    return array


def to_raw(array: Array) -> bytes:
    if array.dtype.kind == "O":
        return b"".join(struct.pack("<I", len(one)) + one for one in tensors.as_bytes(array))
    return array.tobytes()


def from_contents(contents: views_pb2.Contents, datatype: Datatype, shape: tuple[int, ...]) -> Array:
    """
    Raises:
        TensorError: not the values of such a tensor.
    """
    if not datatype.field:
        raise TensorError(f"{datatype.name} has no contents field; it goes into raw_input_contents")
    if tensors.has_unknown_fields(contents):
        contents = _packed(contents)
    others = [field.name for field, _ in contents.ListFields() if field.name != datatype.field]
    if others:
        raise TensorError(f"{others[0]} is given; {datatype.name} goes into {datatype.field}")
    parts = getattr(contents, datatype.field)
    size = math.prod(shape)
    values = _objects(list(parts)) if datatype.name == "BYTES" else _numbers(parts, datatype)
    if len(values) != size:
        raise TensorError(f"{len(values)} values where the shape makes {size}")
    return values.reshape(shape)


def _numbers(parts: Any, datatype: Datatype) -> Array:
    raw = parts[0] if len(parts) == 1 else b"".join(parts)
    dtype = np.dtype(datatype.dtype)
    try:
        if not datatype.is_varint:
            return np.frombuffer(raw, dtype)
        wide = varints.decode(raw)
    except ValueError as error:
        raise TensorError(f"{datatype.field}: {error}") from error
    if datatype.name == "BOOL":
        return np.asarray(wide != 0)
    if dtype.itemsize < 4:
        # The field's numbers are of 32 bits: those that do not fit would come out as others.
        numbers = wide.astype(np.int32 if dtype.kind == "i" else np.uint32)
        narrow = numbers.astype(dtype)
        if (narrow != numbers).any():
            raise TensorError(f"{datatype.field} has values that are no {datatype.name}")
        return narrow
    return wide.astype(dtype)


def _packed(contents: views_pb2.Contents) -> views_pb2.Contents:
    tensors.check_order(contents)
    try:
        whole = inference_pb2.InferTensorContents.FromString(contents.SerializeToString())
    except DecodeError as error:
        raise TensorError("its contents cannot be read") from error
    packed: views_pb2.Contents = views_pb2.Contents.FromString(whole.SerializeToString())
    return packed


def to_contents(array: Array, contents: views_pb2.Contents) -> None:
    datatype = BY_DTYPE[array.dtype.name]
    field = getattr(contents, datatype.field)
    if datatype.name == "BYTES":
        field.extend(tensors.as_bytes(array))
    elif array.size:
        field.append(varints.encode(array) if datatype.is_varint else array.tobytes())
