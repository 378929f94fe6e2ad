"""Messages of gRPC as bytes: tensors, contents, packed numbers, examples."""

from __future__ import annotations

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from benchmarks.fuzzing_parts.answers import WrongError
from benchmarks.fuzzing_parts.parsing import SIGNATURES, Reader, check_arrays, same
from serving.grpc import contents, examples, tensors, varints
from serving.grpc.protos import inference_pb2, tensorflow_pb2, views_pb2
from serving.grpc.tensors import TensorError
from serving.interface import Code, StatusError

_TYPES = (
    "float32",
    "float64",
    "int32",
    "uint8",
    "int8",
    "int16",
    "int64",
    "bool",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "complex64",
)
_MASK = 2**64 - 1


def read_tensor(data: bytes) -> None:
    """A TensorProto; what comes out goes in and out again."""
    try:
        proto = views_pb2.Tensor.FromString(data[2:])
        array = tensors.decode(proto)
    except (DecodeError, TensorError):
        return
    again = views_pb2.Tensor()
    tensors.encode(array, again, as_content=bool(data[0] & 1))
    if not same(tensors.decode(again), array):
        raise WrongError(f"{array.dtype}{array.shape} comes back as something else")


def read_contents(data: bytes) -> None:
    """A tensor of Open Inference Protocol, in contents and raw."""
    kinds = list(contents.BY_NAME.values())
    datatype = kinds[data[0] % len(kinds)] if data else kinds[0]
    shape = ((2,), (1, 2), (), (0,), (3,))[data[1] % 5] if len(data) > 1 else ()
    try:
        array = contents.from_contents(views_pb2.Contents.FromString(data[2:]), datatype, shape)
        if array.shape != shape:
            raise WrongError(f"shape {array.shape}, expected {shape}")
    except (DecodeError, TensorError):
        pass
    try:
        array = contents.from_raw(data[2:], datatype, shape)
    except TensorError:
        return
    if array.shape != shape:
        raise WrongError(f"shape {array.shape}, expected {shape}")
    if contents.to_raw(array) != data[2:] and datatype.name != "BOOL":
        raise WrongError("raw data come back as others")


def read_varints(data: bytes) -> None:
    wanted = _varints(data)
    try:
        found = varints.decode(data).tolist()
    except ValueError:
        if wanted is not None:
            raise WrongError(f"refused, expected {wanted[:8]}") from None
        return
    if found != wanted:
        raise WrongError(f"{found[:8]}, expected {(wanted or [])[:8]}")


def _varints(data: bytes) -> list[int] | None:
    """One at a time, as the wire format says."""
    found, number, shift = [], 0, 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            found.append(number & _MASK)
            number, shift = 0, 0
        elif shift >= 70:
            return None
    return found if not shift else None


def read_examples(data: bytes) -> None:
    signature = SIGNATURES[(data[0] if data else 0) % len(SIGNATURES)]
    try:
        listed = examples.serialized(views_pb2.Input.FromString(data[2:]))
        check_arrays(examples.arrays(listed, signature), signature)
    except DecodeError:
        pass
    except StatusError as problem:
        if problem.code is not Code.INVALID_ARGUMENT:
            raise WrongError(f"{problem.code.name} {problem.message}") from None


# seeds


def _tensors() -> list[bytes]:
    found = []
    for name in _TYPES:
        array = np.ones((1, 2), name)
        for as_content in (False, True):
            proto = views_pb2.Tensor()
            tensors.encode(array, proto, as_content=as_content)
            found.append(b"\0\0" + proto.SerializeToString())
    texts = tensorflow_pb2.TensorProto(dtype="DT_STRING", string_val=[b"a", b"bc"])
    texts.tensor_shape.dim.add(size=2)
    loose = tensorflow_pb2.TensorProto(dtype="DT_FLOAT", float_val=[1.5])
    for size in (3, 70_000):
        loose.tensor_shape.dim.add(size=size)
    return [*found, b"\0\0" + texts.SerializeToString(), b"\1\0" + loose.SerializeToString()]


def _contents() -> list[bytes]:
    found = []
    for number, datatype in enumerate(contents.BY_NAME.values()):
        filled = inference_pb2.InferTensorContents()
        if datatype.field:
            values = [b"a", b"b"] if datatype.name == "BYTES" else [1, 0]
            getattr(filled, datatype.field).extend(values)
        found += [
            bytes((number, 0)) + filled.SerializeToString(),
            bytes((number, 0)) + bytes(2 * 8),
            bytes((number, 1)) + b"\1\0\0\0a" * 2,
        ]
    return found


def _packed() -> list[bytes]:
    return [varints.encode(np.array(values)) for values in ([0, 1, 127, 128], [-1, 2**40], list(range(300)))]


def _inputs() -> list[bytes]:
    one = tensorflow_pb2.Example()
    one.features.feature["x"].float_list.value.extend([1, 2, 3])
    one.features.feature["a"].float_list.value.extend([1, 2])
    one.features.feature["b"].int64_list.value.append(4)
    raw = one.SerializeToString()
    plain = views_pb2.Input()
    plain.example_list.examples.append(raw)
    both = views_pb2.Input()
    both.example_list_with_context.context = raw
    both.example_list_with_context.examples.extend([raw, b""])
    return [bytes((index, 0)) + one.SerializeToString() for one in (plain, both) for index in range(len(SIGNATURES))]


READERS = [
    Reader("tensor", read_tensor, _tensors, 12),
    Reader("contents", read_contents, _contents, 8),
    Reader("varints", read_varints, _packed, 4),
    Reader("examples", read_examples, _inputs, 6),
]
