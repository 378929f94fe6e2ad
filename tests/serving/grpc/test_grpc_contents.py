"""Open Inference Protocol's tensors, against protobuf's own reading and writing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from serving.grpc import contents
from serving.grpc.protos import inference_pb2 as v2
from serving.grpc.protos import views_pb2 as views
from serving.grpc.tensors import TensorError

NUMERIC = sorted(one.name for one in contents.BY_NAME.values() if one.name not in ("BYTES", "BF16"))


def typed(datatype: str, shape: tuple[int, ...], **fields: Any) -> Any:
    view = views.Contents.FromString(v2.InferTensorContents(**fields).SerializeToString())
    return contents.from_contents(view, contents.BY_NAME[datatype], shape)


@given(st.data(), st.sampled_from(NUMERIC))
def test_whatever_is_written_is_read_again(data: st.DataObject, name: str) -> None:
    datatype = contents.BY_NAME[name]
    array = data.draw(hnp.arrays(datatype.dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
    again = contents.from_raw(contents.to_raw(array), datatype, array.shape)
    assert again.dtype == array.dtype and again.tobytes() == array.tobytes()
    if datatype.field:
        view = views.Contents()
        contents.to_contents(array, view)
        sent = v2.InferTensorContents.FromString(view.SerializeToString())
        assert len(getattr(sent, datatype.field)) == array.size
        again = contents.from_contents(view, datatype, array.shape)
        assert again.dtype == array.dtype and again.tobytes() == array.tobytes()


def test_strings_go_after_their_lengths() -> None:
    array = np.array([[b"a"], [b""], [b"\xff" * 300]], object)
    raw = contents.to_raw(array)
    assert raw == b"\x01\x00\x00\x00a" + b"\x00" * 4 + b"\x2c\x01\x00\x00" + b"\xff" * 300
    assert contents.from_raw(raw, contents.BY_NAME["BYTES"], (3, 1)).tolist() == array.tolist()
    assert typed("BYTES", (2,), bytes_contents=[b"x", b""]).tolist() == [b"x", b""]


@pytest.mark.parametrize(
    ("datatype", "raw", "message"),
    [
        ("FP32", b"123", "3 bytes where shape and type make 4"),
        ("BYTES", b"\x01\x00\x00", "a length is cut off"),
        ("BYTES", b"\x05\x00\x00\x00a", "a string is cut off"),
        ("BYTES", b"\x00" * 8, "2 strings where the shape makes 1"),
    ],
)
def test_raw_bytes_that_do_not_fit_are_refused(datatype: str, raw: bytes, message: str) -> None:
    with pytest.raises(TensorError, match=message):
        contents.from_raw(raw, contents.BY_NAME[datatype], (1,))


@pytest.mark.parametrize(
    ("datatype", "fields", "message"),
    [
        ("FP32", {"fp32_contents": [1, 2]}, "2 values where the shape makes 1"),
        ("FP32", {}, "0 values"),
        ("FP32", {"fp64_contents": [1]}, "fp64_contents is given; FP32 goes into fp32_contents"),
        ("INT8", {"int_contents": [128]}, "no INT8"),
        ("UINT16", {"uint_contents": [65536]}, "no UINT16"),
        ("FP16", {"fp32_contents": [1]}, "raw_input_contents"),
    ],
)
def test_contents_that_do_not_fit_are_refused(datatype: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(TensorError, match=message):
        typed(datatype, (1,), **fields)


def test_numbers_that_a_client_wrote_one_by_one_are_read() -> None:
    raw = b"".join(b"\x35" + np.float32(value).tobytes() for value in (1, 2))
    read = contents.from_contents(views.Contents.FromString(raw), contents.BY_NAME["FP32"], (2,))
    assert read.tolist() == [1, 2]
