"""TensorProto to numpy and back, against protobuf's own reading and writing of the published messages."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.grpc import tensors, varints
from serving.grpc.protos import tensorflow_pb2 as tf
from serving.grpc.protos import views_pb2 as views
from serving.grpc.tensors import TensorError

PLAIN = [kind.name for kind in tensors.BY_NUMBER.values() if kind.name not in ("string", "bfloat16")]
NUMBERS = {kind.name: kind for kind in tensors.BY_NUMBER.values()}


def read(proto: Any) -> Any:
    return tensors.decode(views.Tensor.FromString(proto.SerializeToString()))


def proto(dtype: str, shape: tuple[int, ...], **fields: Any) -> tf.TensorProto:
    made = tf.TensorProto(dtype=NUMBERS[dtype].number, **fields)
    made.tensor_shape.SetInParent()
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    return made


def published(array: Any, *, as_content: bool = False) -> tf.TensorProto:
    """What we write, as a client with the published messages reads it."""
    view = views.Tensor()
    tensors.encode(array, view, as_content=as_content)
    return tf.TensorProto.FromString(view.SerializeToString())


@given(st.data(), st.sampled_from(PLAIN), st.booleans())
def test_whatever_is_written_is_read_again(data: st.DataObject, dtype: str, as_content: bool) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    array = data.draw(hnp.arrays(dtype, shape))
    again = read(published(array, as_content=as_content))
    assert again.dtype == array.dtype and again.shape == array.shape
    assert again.tobytes() == array.tobytes()


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_are_written_as_protobuf_writes_them(values: list[int]) -> None:
    ours = published(np.array(values, np.int64))
    assert list(ours.int64_val) == values
    packed = varints.encode(np.array(values, np.int64))
    theirs = tf.Int64List(value=values).SerializeToString()
    assert theirs.endswith(packed) and len(theirs) - len(packed) <= 6
    assert varints.decode(packed).astype(np.int64).tolist() == values


@given(st.binary(max_size=40))
def test_any_bytes_are_numbers_or_an_error(raw: bytes) -> None:
    try:
        values = varints.decode(raw).astype(np.int64).tolist()
    except ValueError:
        values = None
    head = bytes([0x0A, len(raw)])
    try:
        expected = list(tf.Int64List.FromString(head + raw).value)
    except Exception:
        expected = None
    # In the tenth byte protobuf refuses bits that nothing can hold; here they are dropped.
    assert values == expected or (
        expected is None and values is not None and any(raw[i] > 1 for i in range(9, len(raw)))
    )


def test_many_negative_numbers_are_written_in_parts() -> None:
    array = np.arange(-100_000, 100_000, dtype=np.int32)
    assert list(published(array).int_val) == array.tolist()


@pytest.mark.parametrize(
    ("dtype", "field", "given", "expected"),
    [
        ("float32", "float_val", [1.5, -2.0], [1.5, -2.0]),
        ("float64", "double_val", [1e300, 0.1], [1e300, 0.1]),
        ("int32", "int_val", [-1, 2**31 - 1], [-1, 2**31 - 1]),
        ("uint8", "int_val", [0, 255], [0, 255]),
        ("int8", "int_val", [-128, 127], [-128, 127]),
        ("int16", "int_val", [-32768, 5], [-32768, 5]),
        ("uint16", "int_val", [65535, 5], [65535, 5]),
        ("int64", "int64_val", [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
        ("uint32", "uint32_val", [2**32 - 1, 0], [2**32 - 1, 0]),
        ("uint64", "uint64_val", [2**64 - 1, 0], [2**64 - 1, 0]),
        ("bool", "bool_val", [True, False], [True, False]),
        ("float16", "half_val", [0x3C00, 0xC000], [1.0, -2.0]),
        ("complex64", "scomplex_val", [1, 2, 3, 4], [1 + 2j, 3 + 4j]),
        ("complex128", "dcomplex_val", [1, 2, 3, 4], [1 + 2j, 3 + 4j]),
        ("string", "string_val", [b"a", b"\xff\x00"], [b"a", b"\xff\x00"]),
    ],
)
def test_each_typed_field_is_read_and_written(dtype: str, field: str, given: list[Any], expected: list[Any]) -> None:
    array = read(proto(dtype, (2,), **{field: given}))
    assert array.dtype == (object if dtype == "string" else dtype)
    assert array.tolist() == expected
    assert list(getattr(published(array), field)) == given


def test_few_values_fill_a_tensor_with_the_last_and_none_with_zeros() -> None:
    assert read(proto("float32", (2, 2), float_val=[7])).tolist() == [[7, 7], [7, 7]]
    assert read(proto("int32", (4,), int_val=[1, 2])).tolist() == [1, 2, 2, 2]
    assert read(proto("bool", (3,))).tolist() == [False] * 3
    assert read(proto("string", (3,), string_val=[b"a", b"b"])).tolist() == [b"a", b"b", b"b"]
    assert read(proto("string", (2,))).tolist() == [b"", b""]
    assert read(proto("float16", (2,), half_val=[0x3C00])).tolist() == [1.0, 1.0]


def test_too_many_values_are_ignored_and_content_counts_first() -> None:
    assert read(proto("float32", (1,), float_val=[7, 8])).tolist() == [7]
    both = proto("float32", (1,), float_val=[7], tensor_content=np.float32(3).tobytes())
    assert read(both).tolist() == [3]


def test_a_scalar_and_an_empty_tensor_keep_their_shape() -> None:
    assert read(proto("float32", (), float_val=[7])).shape == ()
    assert read(proto("float32", (0, 3))).shape == (0, 3)
    assert read(proto("string", (0,))).shape == (0,)


def test_a_bool_is_true_or_false_whatever_its_byte() -> None:
    assert read(proto("bool", (3,), tensor_content=b"\x02\x00\x01")).tobytes() == b"\x01\x00\x01"


def test_strings_in_content_are_lengths_then_bytes() -> None:
    long = b"x" * 200
    assert read(proto("string", (3,), tensor_content=b"\x01\x00\xc8\x01a" + long)).tolist() == [b"a", b"", long]


@pytest.mark.parametrize("content", [b"\x05ab", b"\x01", b"\x80", b"\x01ab", b"\xff" * 12])
def test_strings_that_do_not_fit_their_content_are_refused(content: bytes) -> None:
    with pytest.raises(TensorError, match="tensor_content"):
        read(proto("string", (1,), tensor_content=content))


def test_numbers_that_a_client_wrote_one_by_one_are_read() -> None:
    head = proto("float32", (3,)).SerializeToString()
    one_by_one = b"".join(b"\x2d" + np.float32(value).tobytes() for value in (1, 2, 3))
    assert tensors.decode(views.Tensor.FromString(head + one_by_one)).tolist() == [1, 2, 3]
    mixed = b"\x2d" + np.float32(1).tobytes() + b"\x2a\x08" + np.array([2, 3], np.float32).tobytes()
    with pytest.raises(TensorError, match="float_val has values both packed and one by one"):
        tensors.decode(views.Tensor.FromString(head + mixed))


def test_packed_numbers_in_several_parts_are_joined() -> None:
    raw = proto("float32", (2,), float_val=[1]).SerializeToString() + tf.TensorProto(float_val=[2]).SerializeToString()
    assert tensors.decode(views.Tensor.FromString(raw)).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (tf.TensorProto(), "type 0"),
        (tf.TensorProto(dtype=20), "type 20"),
        (proto("float32", (-1,)), "negative"),
        (proto("float32", (2**40, 2**40)), "too large"),
        (proto("float64", (0, 2**62)), "too large"),
        (proto("float32", (1,) * 65), "65 dimensions"),
        (proto("float32", (2,), tensor_content=b"1234"), "4 bytes where shape and type make 8"),
        (proto("float32", (10**9,), float_val=[1]), "1 values for 1000000000 places"),
        (proto("string", (10**9,), string_val=[b"a"]), "1 values for 1000000000 places"),
        (proto("string", (10**12,), tensor_content=b"\x01a"), "lengths"),
    ],
)
def test_what_is_no_tensor_is_refused_with_the_reason(made: Any, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        read(made)


def test_an_unknown_rank_is_refused() -> None:
    made = tf.TensorProto(dtype=1)
    made.tensor_shape.unknown_rank = True
    with pytest.raises(TensorError, match="unknown rank"):
        read(made)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_tensor_or_an_error(raw: bytes) -> None:
    try:
        view = views.Tensor.FromString(raw)
    except Exception:
        return
    with contextlib.suppress(TensorError):
        tensors.decode(view)
