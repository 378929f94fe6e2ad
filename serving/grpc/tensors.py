"""TensorProto to numpy and back, as bytes: never a Python number for each value (strings excepted).

What a proto means is what TensorFlow's `Tensor::FromProto` makes of it
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/tensor.cc): `tensor_content` counts before
the typed fields, too few values are filled up with the last one, none with zeros, too many are ignored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-untyped]

from serving.backends.base import Array
from serving.grpc import varints
from serving.grpc.protos import tensorflow_pb2, views_pb2

MAX_FILLED_BYTES = 64 << 20
"""How large an array a few bytes of a request may ask for by a shape that its values do not fill."""
_MAX_RANK = 64  # numpy's
_MAX_SIZE = 1 << 56  # numpy's, in bytes of the widest type; it counts the sizes beside a zero too


class TensorError(ValueError):
    """A proto is no tensor; the text says why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A type: numpy's and TensorFlow's name, its typed field, and what the field holds if not its plain bytes."""

    number: int
    name: str
    field: str
    is_varint: bool = False
    is_bits: bool = False
    """The field holds the 16 bits of a number as an integer."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """
        Raises:
            TensorError: numpy does not know it here.
        """
        if self.name == "string":
            return np.dtype(object)
        try:
            return np.dtype(self.name)
        except TypeError:  # bfloat16, until ml_dtypes is imported
            return _extra_type(self.name)


def _extra_type(name: str) -> np.dtype[Any]:
    try:
        import ml_dtypes
    except ImportError:
        raise TensorError(f"{name} needs the package ml_dtypes on the server") from None
    extra: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
    return extra


_KINDS = (
    Kind(1, "float32", "float_val"),
    Kind(2, "float64", "double_val"),
    Kind(3, "int32", "int_val", is_varint=True),
    Kind(4, "uint8", "int_val", is_varint=True),
    Kind(5, "int16", "int_val", is_varint=True),
    Kind(6, "int8", "int_val", is_varint=True),
    Kind(7, "string", "string_val"),
    Kind(8, "complex64", "scomplex_val"),
    Kind(9, "int64", "int64_val", is_varint=True),
    Kind(10, "bool", "bool_val", is_varint=True),
    Kind(14, "bfloat16", "half_val", is_varint=True, is_bits=True),
    Kind(17, "uint16", "int_val", is_varint=True),
    Kind(18, "complex128", "dcomplex_val"),
    Kind(19, "float16", "half_val", is_varint=True, is_bits=True),
    Kind(22, "uint32", "uint32_val", is_varint=True),
    Kind(23, "uint64", "uint64_val", is_varint=True),
)
BY_NUMBER = {kind.number: kind for kind in _KINDS}
BY_NAME = {kind.name: kind for kind in _KINDS} | {"object": BY_NUMBER[7]}
_PLAIN_TYPES = {kind.number: np.dtype(kind.name) for kind in _KINDS if kind.name not in ("string", "bfloat16")}


_KINDS_OF: dict[np.dtype[Any], Kind | None] = {}
"""By numpy's type: it takes 2 us to say its name."""


def kind_of(dtype: np.dtype[Any]) -> Kind | None:
    """None for what TensorFlow does not have."""
    try:
        return _KINDS_OF[dtype]
    except KeyError:
        found = BY_NAME.get(dtype.name)
        if len(_KINDS_OF) < 64:
            _KINDS_OF[dtype] = found
        return found


def decode(proto: views_pb2.Tensor) -> Array:
    """The array of a tensor. It may share the proto's memory and be read-only.

    Raises:
        TensorError: it is none.
    """
    kind = BY_NUMBER.get(proto.dtype)
    if kind is None:
        raise TensorError(f"no tensor of type {proto.dtype} is taken")
    shape = _shape(proto.tensor_shape)
    if has_unknown_fields(proto):
        proto = _packed(proto)
    size = math.prod(shape)
    if kind.number == 7:
        return _strings(proto, size).reshape(shape)
    dtype = _PLAIN_TYPES.get(kind.number) or kind.dtype
    if not size:
        return np.zeros(shape, dtype)
    if proto.tensor_content:
        content = proto.tensor_content
        if len(content) != size * dtype.itemsize:
            wanted = size * dtype.itemsize
            raise TensorError(f"tensor_content has {len(content)} bytes where shape and type make {wanted}")
        if kind.number == 10:
            # A bool whose byte is 2 is undefined behaviour in what computes.
            return np.asarray(np.frombuffer(content, np.uint8) != 0).reshape(shape)
        return np.frombuffer(content, dtype).reshape(shape)
    return _filled(_values(proto, kind, dtype), size).reshape(shape)


def _shape(proto: views_pb2.Shape) -> tuple[int, ...]:
    if proto.unknown_rank:
        raise TensorError("the shape is of unknown rank")
    shape = tuple([dim.size for dim in proto.dim])
    check_shape(shape)
    return shape


def check_shape(shape: tuple[int, ...]) -> None:
    """
    Raises:
        TensorError: no array can have it.
    """
    if len(shape) > _MAX_RANK:
        raise TensorError(f"{len(shape)} dimensions; no more than {_MAX_RANK} are taken")
    if shape and min(shape) < 0:
        raise TensorError(f"dimension {min(shape)} of shape {list(shape)} is negative")
    if (math.prod(shape) or math.prod(size or 1 for size in shape)) >= _MAX_SIZE:
        raise TensorError(f"shape {list(shape)} is too large")


def has_unknown_fields(proto: object) -> bool:
    return len(UnknownFieldSet(proto)) > 0


def check_order(proto: Any) -> None:
    """
    Raises:
        TensorError: numbers of one field in both forms. No client writes that, and their order is lost in a view.
    """
    loose = {field.field_number for field in UnknownFieldSet(proto)}
    for field, _ in proto.ListFields():
        if field.number in loose:
            raise TensorError(f"{field.name} has values both packed and one by one")


def _packed(proto: views_pb2.Tensor) -> views_pb2.Tensor:
    """The same tensor of a client that wrote numbers one by one, as the older form of protobuf has it."""
    check_order(proto)
    try:
        whole = tensorflow_pb2.TensorProto.FromString(proto.SerializeToString())
    except DecodeError as error:
        raise TensorError("its fields cannot be read") from error
    packed: views_pb2.Tensor = views_pb2.Tensor.FromString(whole.SerializeToString())
    return packed


def _values(proto: views_pb2.Tensor, kind: Kind, dtype: np.dtype[Any]) -> Array:
    parts = getattr(proto, kind.field)
    raw = parts[0] if len(parts) == 1 else b"".join(parts)
    try:
        if not kind.is_varint:
            if kind.name.startswith("complex"):
                raw = raw[: len(raw) // dtype.itemsize * dtype.itemsize]  # half a number is no number
            return np.frombuffer(raw, dtype)
        wide = varints.decode(raw)
    except ValueError as error:
        raise TensorError(f"{kind.field}: {error}") from error
    if kind.is_bits:
        return wide.astype(np.uint16).view(dtype)
    return wide != 0 if kind.number == 10 else wide.astype(dtype)


def _filled(values: Array, size: int) -> Array:
    if len(values) == size:
        return values
    if len(values) > size:
        return values[:size]
    if size * values.dtype.itemsize > MAX_FILLED_BYTES:
        raise TensorError(f"{len(values)} values for {size} places; only smaller tensors are filled up")
    full = np.empty(size, values.dtype)
    full[: len(values)] = values
    full[len(values) :] = values[-1] if len(values) else np.zeros((), values.dtype)
    return full


def _strings(proto: views_pb2.Tensor, size: int) -> Array:
    if proto.tensor_content and size:
        texts: list[bytes] = _content_strings(proto.tensor_content, size)
    else:
        texts = list(proto.string_val[:size])
    if size - len(texts) > MAX_FILLED_BYTES // 8:
        raise TensorError(f"{len(texts)} values for {size} places; only smaller tensors are filled up")
    texts += [texts[-1] if texts else b""] * (size - len(texts))
    array = np.empty(size, object)
    array[:] = texts
    return array


def _content_strings(content: bytes, size: int) -> list[bytes]:
    """Strings in `tensor_content`: all lengths as varints, then all bytes."""
    head, seen = 0, 0
    while seen < size and head < len(content):
        seen += content[head] < 0x80
        head += 1
    if seen < size:
        raise TensorError(f"tensor_content has {seen} lengths for {size} strings")
    try:
        lengths = varints.decode(content[:head]).tolist()
    except ValueError as error:
        raise TensorError(f"tensor_content: {error}") from error
    if head + sum(lengths) != len(content):
        raise TensorError(f"tensor_content has {len(content) - head} bytes for strings of {sum(lengths)}")
    texts = []
    for length in lengths:
        texts.append(content[head : head + length])
        head += length
    return texts


def encode(array: Array, proto: views_pb2.Tensor, *, as_content: bool = False) -> None:
    """Write an array: into its typed field as TensorFlow Serving does by default, or into `tensor_content`.

    Raises:
        TensorError: a type that TensorFlow does not have.
    """
    kind = kind_of(array.dtype)
    if kind is None:
        raise TensorError(f"arrays of {array.dtype.name} cannot be sent")
    proto.dtype = kind.number
    dims = proto.tensor_shape.dim
    for size in array.shape:
        dims.add(size=size)
    if not array.shape:
        proto.tensor_shape.SetInParent()
    if kind.number == 7:
        proto.string_val.extend(as_bytes(array))
    elif array.size and as_content:
        proto.tensor_content = array.tobytes()
    elif array.size:
        getattr(proto, kind.field).append(_packed_values(array, kind))


def _packed_values(array: Array, kind: Kind) -> bytes:
    if kind.is_bits:
        return varints.encode(np.ascontiguousarray(array).view(np.uint16))
    return varints.encode(array) if kind.is_varint else array.tobytes()


def as_bytes(array: npt.NDArray[Any]) -> list[bytes]:
    """The strings of an array, row by row."""
    return [
        one if isinstance(one, bytes) else str(one).encode("utf-8", "surrogateescape") for one in array.ravel().tolist()
    ]
