"""The Open Inference Protocol on the wire: expected bytes are written from its published texts, not from our own writer.

REST = https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
BINARY = https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from serving.http import v2_describe
from serving.http.json_in import BadRequestError
from serving.http.v2_request import WantedOutput
from serving.signature import ModelSignature, Tensor
from tests.serving.v2_messages import SIZES, Y, answer, asked, binary, one_binary, refusal, takes, x


class TestPublishedExamples:
    def test_the_request_of_the_specification(self) -> None:
        # REST, "Inference Request Examples"; its BOOL input has one element for three, an oversight: here it has three.
        body = b"""{
          "id" : "42",
          "inputs" : [
            {"name" : "input0", "shape" : [ 2, 2 ], "datatype" : "UINT32", "data" : [ 1, 2, 3, 4 ]},
            {"name" : "input1", "shape" : [ 3 ], "datatype" : "BOOL", "data" : [ true, false, true ]}
          ],
          "outputs" : [ {"name" : "output0"} ]
        }"""
        decoder = takes(
            Tensor("input0", "uint32", (None, 2)),
            Tensor("input1", "bool", (None,)),
            gives=(Tensor("output0", "float32", (None, 2)), Tensor("more", "float32", (None,))),
        )
        request = decoder.decode(body)
        assert request.id == "42"
        assert request.outputs == (WantedOutput("output0"),)
        assert request.inputs["input0"].tolist() == [[1, 2], [3, 4]]
        assert request.inputs["input0"].dtype == np.uint32
        assert request.inputs["input1"].tolist() == [True, False, True]
        wrong = body.replace(b"[ true, false, true ]", b"[ true ]")
        assert refusal(decoder, wrong) == 'input "input1": data has 1 elements, shape [3] asks for 3'

    def test_the_answer_of_the_specification(self) -> None:
        value = np.array([[1.0, 1.1], [2.0, 2.1], [3.0, 3.1]], np.float32)
        response = answer(asked(WantedOutput("output0"), identifier="42"), output0=value)
        assert response.content_type == b"application/json"
        assert json.loads(response.body) == {
            "model_name": "mymodel",
            "model_version": "3",
            "id": "42",
            "outputs": [
                {"name": "output0", "shape": [3, 2], "datatype": "FP32", "data": [1.0, 1.1, 2.0, 2.1, 3.0, 3.1]}
            ],
        }

    def test_the_binary_request_of_the_extension(self) -> None:
        # BINARY, "Examples": 16 bytes of input0 and 3 of input1, 19 in all; the model's name in the body is passed over.
        plain = {
            "model_name": "mymodel",
            "inputs": [
                {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "parameters": {"binary_data_size": 16}},
                {"name": "input1", "shape": [3], "datatype": "BOOL", "parameters": {"binary_data_size": 3}},
            ],
            "outputs": [{"name": "output0", "parameters": {"binary_data": True}}],
        }
        tail = bytes([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, 0]) + bytes([1, 0, 1])
        decoder = takes(
            Tensor("input0", "uint32", (2, 2)),
            Tensor("input1", "bool", (3,)),
            gives=(Tensor("output0", "float32", (3, 2)),),
        )
        request = decoder.decode(*binary(plain, tail))
        assert request.inputs["input0"].tolist() == [[1, 2], [3, 256]]
        assert request.inputs["input1"].tolist() == [True, False, True]
        assert request.outputs == (WantedOutput("output0", is_binary=True),)

    def test_the_binary_answer_of_the_extension(self) -> None:
        value = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
        response = answer(asked(WantedOutput("output0", is_binary=True)), output0=value)
        head = response.body[:-24]
        assert response.content_type == b"application/octet-stream"
        assert response.extra == b"Inference-Header-Content-Length: %d\r\nX-Own: 1\r\n" % len(head)
        assert response.body[-24:] == struct.pack("<6f", 1, 2, 3, 4, 5, 6)
        assert json.loads(head)["outputs"] == [
            {"name": "output0", "shape": [3, 2], "datatype": "FP32", "parameters": {"binary_data_size": 24}}
        ]


class TestBinary:
    @pytest.mark.parametrize("dtype", list(SIZES))
    def test_every_type_is_little_endian_in_its_own_size(self, dtype: str) -> None:
        value = np.array([[0, 1], [1, 0]], dtype=np.dtype(dtype).newbyteorder("<"))
        tail = value.tobytes()
        assert len(tail) == 4 * SIZES[dtype][1]
        for padding in range(8):  # wherever it stands in the body
            body, length = one_binary(dtype, [2, 2], tail)
            head = body[: int(length)] + b" " * padding
            got = takes(x(dtype, None, 2)).decode(head + tail, str(len(head)).encode()).inputs["x"]
            assert got.dtype == np.dtype(dtype) and got.flags.aligned
            np.testing.assert_array_equal(got, value)

    def test_aligned_bytes_are_not_copied(self) -> None:
        tail = np.arange(4, dtype="<f4").tobytes()
        owned = []
        for padding in range(4):
            body, length = one_binary("float32", [4], tail)
            head = body[: int(length)] + b" " * padding
            value = takes(x("float32", None)).decode(head + tail, str(len(head)).encode()).inputs["x"]
            owned.append(value.base is not None and not value.flags.writeable)
        assert owned.count(True) == 1

    def test_bytes_have_their_length_before_them(self) -> None:
        tail = b"\x03\x00\x00\x00abc" + b"\x00\x00\x00\x00" + b"\x02\x00\x00\x00\xff\x00"
        value = takes(x("string", None)).decode(*one_binary("string", [3], tail)).inputs["x"]
        assert value.tolist() == [b"abc", b"", b"\xff\x00"]

    def test_json_and_binary_inputs_together(self) -> None:
        decoder = takes(*(Tensor(name, "int16", (None,)) for name in "abc"))
        a, b, c = ({"name": name, "shape": [1], "datatype": "INT16"} for name in "abc")
        size = {"parameters": {"binary_data_size": 2}}
        body, length = binary({"inputs": [c | size, b | {"data": [7]}, a | size]}, b"\x01\x00\x02\x00")
        request = decoder.decode(body, length)
        assert {name: value.tolist() for name, value in request.inputs.items()} == {"c": [1], "b": [7], "a": [2]}

    @pytest.mark.parametrize(
        ("dtype", "shape", "tail", "size", "said"),
        [
            ("float32", [2], b"\0" * 7, 8, "binary_data_size is 8, but at byte {start} the body has 7 bytes left"),
            (
                "float32",
                [2],
                b"\0" * 4,
                4,
                "binary_data_size is 4, shape [2] asks for 2 elements of 4 bytes, 8 in all",
            ),
            ("bool", [3], b"\0\1\2", 3, "element 2 of BOOL, at byte {start+2} of the body, is 2, expected 0 or 1"),
            (
                "string",
                [3],
                b"\0" * 8,
                8,
                "binary_data_size is 8, 3 elements of BYTES take at least 12 bytes",
            ),
            (
                "string",
                [2],
                b"\1\0\0\0a\5\0\0\0b",
                10,
                "element 1 of 2, at byte {start+5} of the body, wants 5 bytes behind its length, its tensor has 1 left",
            ),
            (
                "string",
                [2],
                b"\3\0\0\0abc\1",
                8,
                "element 1 of 2, at byte {start+7} of the body, wants four bytes of length, its tensor has 1 left",
            ),
            (
                "string",
                [1],
                b"\1\0\0\0ab",
                6,
                "binary_data_size is 6, but its 1 elements of BYTES end 1 bytes before that, "
                "at byte {start+5} of the body",
            ),
            ("string", [1], b"\xff\xff\xff\xff", 4, "element 0 of 1, at byte {start} of the body, wants 4294967295"),
            ("float32", [1], b"\0" * 4, -4, "binary_data_size is -4, expected a number of bytes"),
            ("float32", [1], b"\0" * 4, 4.0, "binary_data_size is 4.0, expected a number of bytes"),
            ("float32", [1], b"\0" * 4, True, "binary_data_size is True, expected a number of bytes"),
            ("float32", [1], b"\0" * 4, "4", "binary_data_size is a text, expected a number of bytes"),
        ],
    )
    def test_bytes_that_do_not_add_up(self, dtype: str, shape: list[int], tail: bytes, size: Any, said: str) -> None:
        body, length = one_binary(dtype, shape, tail, size)
        start = int(length)
        for offset in (0, 2, 5, 7):
            said = said.replace(f"{{start+{offset}}}", str(start + offset))
        expected = f'input "x": {said.replace("{start}", str(start))}'
        assert refusal(takes(x(dtype, None)), body, length).startswith(expected)

    def test_bytes_that_nobody_asked_for(self) -> None:
        body, length = one_binary("uint8", [2], b"\1\2")
        assert refusal(takes(x("uint8", None)), body + b"\0\0\0", length) == (
            f"the body has 3 bytes more than its inputs name, from byte {len(body)} on"
        )

    def test_a_size_without_the_header(self) -> None:
        body, length = one_binary("uint8", [2], b"\1\2")
        head = body[: int(length)]
        assert "the request has no header Inference-Header-Content-Length" in refusal(takes(x("uint8", None)), head)

    @pytest.mark.parametrize("text", [b"", b"-1", b"1.0", b"x", b"1 2", b"9" * 30, b"\xb2"])
    def test_a_length_that_is_none(self, text: bytes) -> None:
        assert "expected the size of the JSON in bytes" in refusal(takes(x("uint8", None)), b"{}", text)

    def test_a_length_beyond_the_body(self) -> None:
        assert refusal(takes(x("uint8", None)), b"{}", b"3") == (
            "Inference-Header-Content-Length is 3, but the body has 2 bytes"
        )


class TestRawBinary:
    """The length 0: the body is the only input's data (Triton's raw binary request; not compared with a Triton server)."""

    @pytest.mark.parametrize(
        ("shape", "size", "rows"),
        [((None, 2), 12, (3, 2)), ((2, None), 8, (2, 2)), ((None, None, 2), 8, (1, 2, 2)), ((3,), 6, (3,))],
    )
    def test_the_open_size_follows_from_the_length(self, shape: Any, size: int, rows: tuple[int, ...]) -> None:
        request = takes(x("int16", *shape)).decode(bytes(size), b"0")
        assert request.inputs["x"].shape == rows
        assert request.outputs == (WantedOutput("y", is_binary=True),)

    def test_bytes_are_one_element(self) -> None:
        assert takes(x("string", None, 1)).decode(b"\xff\xd8", b"0").inputs["x"].tolist() == [[b"\xff\xd8"]]
        assert "has shape [1]" in refusal(takes(x("string", 2)), b"ab", b"0")

    def test_what_does_not_follow(self) -> None:
        assert "which does not follow" in refusal(takes(x("int16", None, None, None)), b"ab", b"0")
        assert refusal(takes(x("int16", None, 2)), b"abc", b"0") == (
            'input "x": the body has 3 bytes, the model takes INT16 [?,2], a multiple of 4 bytes'
        )
        assert refusal(takes(x("int16", 2)), b"abc", b"0").endswith("the model takes INT16 [2], 4 bytes")
        assert "only a model of one input" in refusal(takes(x("int16", None), Y), b"ab", b"0")


class TestAnswers:
    @pytest.mark.parametrize("dtype", list(SIZES))
    def test_every_type_in_binary(self, dtype: str) -> None:
        value = np.array([[0, 1, 1], [1, 0, 1]], dtype=dtype)[:, ::2]  # a view that is not laid out in one piece
        response = answer(asked(WantedOutput("y", is_binary=True)), y=value)
        size = 4 * SIZES[dtype][1]
        assert response.body[-size:] == np.array([0, 1, 1, 1], np.dtype(dtype).newbyteorder("<")).tobytes()
        output = json.loads(response.body[:-size])["outputs"][0]
        assert output["datatype"] == SIZES[dtype][0] and output["shape"] == [2, 2]

    def test_bytes_in_binary_in_base64_and_as_text(self) -> None:
        value = np.array([[b"ab"], [b""]], dtype=object)
        packed = answer(asked(WantedOutput("y", is_binary=True)), y=value)
        assert packed.body.endswith(b'"parameters":{"binary_data_size":10}}]}\x02\x00\x00\x00ab\x00\x00\x00\x00')
        coded = answer(asked(WantedOutput("y", is_base64=True)), y=value)
        assert json.loads(coded.body)["outputs"][0] == {
            "name": "y",
            "datatype": "BYTES",
            "shape": [2, 1],
            "parameters": {"content_type": "base64"},
            "data": ["YWI=", ""],
        }
        assert json.loads(answer(asked(WantedOutput("y")), y=value).body)["outputs"][0]["data"] == ["ab", ""]

    def test_bytes_that_are_no_text_are_not_answered_as_text(self) -> None:
        with pytest.raises(BadRequestError, match='output "y" holds bytes that are no UTF-8'):
            answer(asked(WantedOutput("y")), y=np.array([b"\xff"], dtype=object))

    def test_nan_and_infinity_are_bare_and_floats_no_longer_than_they_are(self) -> None:
        body = answer(asked(WantedOutput("y")), y=np.array([np.nan, np.inf, -np.inf, 0.1], np.float32)).body
        assert b'"data":[NaN, Infinity, -Infinity, 0.1]' in body
        assert b'"data":[0.1]' in answer(asked(WantedOutput("y")), y=np.array([0.1], np.float32)).body

    def test_a_scalar_and_no_rows(self) -> None:
        request = asked(WantedOutput("y"), WantedOutput("z", is_binary=True))
        response = answer(request, y=np.array(3, np.int64), z=np.empty((0, 2), np.float32))
        y, z = json.loads(response.body)["outputs"]
        assert y["shape"] == [] and y["data"] == [3]
        assert z["shape"] == [0, 2] and z["parameters"] == {"binary_data_size": 0}

    def test_json_and_binary_outputs_in_the_order_asked_for(self) -> None:
        request = asked(
            WantedOutput("b", is_binary=True), WantedOutput("a"), WantedOutput("c", is_binary=True), identifier='"é'
        )
        response = answer(
            request, a=np.array([True]), b=np.array([1], np.uint8), c=np.array([2], np.uint8), d=np.array([3])
        )
        plain = json.loads(response.body[:-2])
        assert [output["name"] for output in plain["outputs"]] == ["b", "a", "c"]
        assert plain["outputs"][1]["data"] == [True]
        assert plain["id"] == '"é'
        assert response.body[-2:] == b"\1\2"

    def test_a_type_that_the_protocol_does_not_carry(self) -> None:
        with pytest.raises(BadRequestError, match='output "y" is COMPLEX64'):
            answer(asked(WantedOutput("y")), y=np.array([1j], np.complex64))


class TestDescriptions:
    def test_the_server(self) -> None:
        assert json.loads(v2_describe.server("1.2.3").body) == {
            "name": "skylift",
            "version": "1.2.3",
            "extensions": ["binary_tensor_data", "model_repository", "statistics"],
        }

    def test_a_model(self) -> None:
        signature = ModelSignature(
            (x("float32", None, 28, 28, 1), Tensor("s", "string", ()), Tensor("any", "bfloat16", None)),
            (Tensor("y", "int64", (None, None)),),
        )
        response = v2_describe.model("m", [3, 4], "onnx_onnxv1", signature, b"X-Own: 1\r\n")
        assert response.extra == b"X-Own: 1\r\n"
        assert json.loads(response.body) == {
            "name": "m",
            "versions": ["3", "4"],
            "platform": "onnx_onnxv1",
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [-1, 28, 28, 1]},
                {"name": "s", "datatype": "BYTES", "shape": []},
                {"name": "any", "datatype": "BF16", "shape": [-1]},
            ],
            "outputs": [{"name": "y", "datatype": "INT64", "shape": [-1, -1]}],
        }
        assert b'"tensorflow_savedmodel"' in v2_describe.model("m", [1], "tensorflow_savedmodel", signature).body

    def test_what_is_ready(self) -> None:
        assert json.loads(v2_describe.live().body) == {"live": True}
        assert v2_describe.server_ready(is_ready=True).status == 200
        assert v2_describe.server_ready(is_ready=False).status == 503
        assert json.loads(v2_describe.server_ready(is_ready=False).body) == {"live": True, "ready": False}
        ready = v2_describe.model_ready("m", is_ready=True)
        assert ready.status == 200 and json.loads(ready.body) == {"name": "m", "ready": True}
        assert v2_describe.model_ready("m", is_ready=False).status == 503
