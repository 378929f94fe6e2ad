"""The Open Inference Protocol on the wire: expected bytes are written from its published texts, not from our own writer.

REST = https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
BINARY = https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import struct
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.backends.base import Array
from serving.http import v2_describe, v2_head
from serving.http.json_in import BadRequestError
from serving.http.messages import Response
from serving.http.v2_json import Reader
from serving.http.v2_request import Decoder, InferRequest, WantedOutput
from serving.http.v2_response import Encoder
from serving.signature import ModelSignature, Tensor

SIZES = {
    "bool": ("BOOL", 1),
    "uint8": ("UINT8", 1),
    "uint16": ("UINT16", 2),
    "uint32": ("UINT32", 4),
    "uint64": ("UINT64", 8),
    "int8": ("INT8", 1),
    "int16": ("INT16", 2),
    "int32": ("INT32", 4),
    "int64": ("INT64", 8),
    "float16": ("FP16", 2),
    "float32": ("FP32", 4),
    "float64": ("FP64", 8),
}
"""The table of REST, "Tensor Data Types"."""
NUMERIC = [dtype for dtype in SIZES if dtype not in ("bool", "float16")]

MUTATIONS = int(os.environ.get("SKYLIFT_MUTATIONS", "10000"))

Y = Tensor("y", "float32", (None,))


def takes(*tensors: Tensor, gives: tuple[Tensor, ...] = (Y,)) -> Decoder:
    return Decoder(ModelSignature(tensors, gives))


def x(dtype: str, *shape: int | None) -> Tensor:
    return Tensor("x", dtype, shape)


def one(dtype: str, data: Any, shape: list[int], **more: Any) -> dict[str, Any]:
    name = "BYTES" if dtype == "string" else SIZES[dtype][0]
    return {"inputs": [{"name": "x", "datatype": name, "shape": shape, "data": data, **more}]}


def read(plain: Any, *tensors: Tensor) -> Array:
    body = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
    return takes(*tensors).decode(body).inputs["x"]


def binary(plain: dict[str, Any], tail: bytes) -> tuple[bytes, bytes]:
    head = json.dumps(plain).encode()
    return head + tail, str(len(head)).encode()


def one_binary(dtype: str, shape: list[int], tail: bytes, size: Any = None) -> tuple[bytes, bytes]:
    name = "BYTES" if dtype == "string" else SIZES[dtype][0]
    parameters = {"binary_data_size": len(tail) if size is None else size}
    return binary({"inputs": [{"name": "x", "datatype": name, "shape": shape, "parameters": parameters}]}, tail)


def refusal(decoder: Decoder, body: bytes | dict[str, Any], header_length: bytes | None = None) -> str:
    with pytest.raises(BadRequestError) as refused:
        decoder.decode(body if isinstance(body, bytes) else json.dumps(body).encode(), header_length)
    assert refused.value.status == 400
    return str(refused.value)


def asked(*outputs: WantedOutput, identifier: str | None = None) -> InferRequest:
    return InferRequest(identifier, {}, outputs, {})


def answer(request: InferRequest, **outputs: Array) -> Response:
    return Encoder("mymodel", 3, b"X-Own: 1\r\n").encode(request, outputs)


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


class TestJson:
    @pytest.mark.parametrize("dtype", NUMERIC)
    @pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]])
    def test_flat_and_nested_data_of_every_number(self, dtype: str, data: list[Any]) -> None:
        value = read(one(dtype, data, [2, 2]), x(dtype, None, 2))
        assert value.tolist() == [[1, 2], [3, 4]]
        assert value.dtype == np.dtype(dtype)

    @pytest.mark.parametrize("dtype", [dtype for dtype in NUMERIC if "int" in dtype])
    def test_integers_are_exact_to_their_ends_and_refused_beyond(self, dtype: str) -> None:
        limits = np.iinfo(dtype)
        ends = [int(limits.min), int(limits.max)]
        assert read(one(dtype, ends, [2]), x(dtype, None)).tolist() == ends
        for beyond in (ends[0] - 1, ends[1] + 1):
            said = refusal(takes(x(dtype, None)), one(dtype, [0, beyond], [2]))
            assert said == f'input "x": element 1 is {beyond}, {SIZES[dtype][0]} goes from {limits.min} to {limits.max}'

    def test_integers_beyond_two_to_the_53rd_are_exact_beside_others(self) -> None:
        assert read(one("int64", [[9007199254740993], [-1]], [2, 1]), x("int64", None, 1)).tolist() == [
            [9007199254740993],
            [-1],
        ]

    def test_a_scalar_is_a_list_of_one(self) -> None:
        value = read(one("float32", [2.5], []), x("float32"))
        assert value.shape == () and value == 2.5

    def test_no_rows(self) -> None:
        assert read(one("float32", [], [0, 3]), x("float32", None, 3)).shape == (0, 3)
        assert read(one("string", [[], []], [2, 0]), x("string", None, None)).shape == (2, 0)

    def test_nan_infinity_and_what_is_too_great(self) -> None:
        body = b'{"inputs":[{"name":"x","shape":[6],"datatype":"FP32","data":[NaN,Infinity,-Infinity,1e39,-1e400,%b]}]}'
        value = read(body % (b"9" * 400), x("float32", None))
        np.testing.assert_array_equal(value, np.array([np.nan, np.inf, -np.inf, np.inf, -np.inf, np.inf], np.float32))

    def test_texts(self) -> None:
        value = read(one("string", ["é", "", "a\0b"], [3]), x("string", None))
        assert value.tolist() == ["é".encode(), b"", b"a\0b"]

    def test_bytes_as_base64_where_the_parameter_says_so(self) -> None:
        # content_type is MLServer's parameter: https://docs.seldon.ai/mlserver/user-guide/content-type
        given = one("string", ["/wA=", ""], [2], parameters={"content_type": "base64"})
        assert read(given, x("string", None)).tolist() == [b"\xff\x00", b""]
        given["inputs"][0]["data"] = ["/wA=", "/wA"]
        assert refusal(takes(x("string", None)), given) == 'input "x": element 1 is no base64'
        given["inputs"][0]["data"] = ["é", ""]
        assert "element 0 has a character that base64 does not have" in refusal(takes(x("string", None)), given)

    def test_null_stands_for_what_is_not_given(self) -> None:
        plain = one("float32", [1], [1], parameters=None) | {"id": None, "parameters": None, "outputs": None}
        request = takes(x("float32", None)).decode(json.dumps(plain).encode())
        assert request.id is None
        assert request.outputs == (WantedOutput("y"),)
        plain = one("uint8", None, [1], parameters={"binary_data_size": 1})
        assert takes(x("uint8", None)).decode(*binary(plain, b"\7")).inputs["x"].tolist() == [7]

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            ([1, True], "element 1 is a boolean (True), expected FP32"),
            ([1, None], "element 1 is null, expected FP32"),
            ([1, "2"], "element 1 is a text, expected FP32"),
            ([1, {}], "element 1 is an object, expected FP32"),
            ([1], "data has 1 elements, shape [1,2] asks for 2"),
            ([[1], [2]], "data is a list of 2, shape [1,2] asks for a list of 1 there"),
            ([[1, 2, 3]], "data[0] is a list of 3, shape [1,2] asks for a list of 2 there"),
            ([1, [2]], "data is a list of 2, shape [1,2] asks for a list of 1 there"),
            ([[[1], 2]], "data[0][0] is a list, shape [1,2] asks for an element there"),
            ([[1, [2]]], "data[0][1] is a list, shape [1,2] asks for an element there"),
            (5, "data is an integer, expected a list"),
            (None, "data is null, expected a list"),
            ("12", "data is a text, expected a list"),
            ({"b64": ""}, "data is an object, expected a list"),
        ],
    )
    def test_odd_data_is_told_by_place(self, data: Any, said: str) -> None:
        assert refusal(takes(x("float32", None, 2)), one("float32", data, [1, 2])) == f'input "x": {said}'

    @pytest.mark.parametrize(
        ("dtype", "item", "said"),
        [
            ("int32", 1.0, "a number (1.0), expected INT32"),
            ("bool", 1, "an integer (1), expected BOOL"),
            ("string", 1, "an integer (1), expected BYTES"),
            ("uint8", "1", "a text, expected UINT8"),
        ],
    )
    def test_types_are_strict(self, dtype: str, item: Any, said: str) -> None:
        assert refusal(takes(x(dtype, None)), one(dtype, [item], [1])) == f'input "x": element 0 is {said}'

    def test_half_a_surrogate_pair_is_no_text(self) -> None:
        assert "element 0 has half of a surrogate pair" in refusal(
            takes(x("string", None)), one("string", ["\ud800"], [1])
        )
        plain = one("float32", [1], [1]) | {"id": "\ud800"}
        assert refusal(takes(x("float32", None)), plain).startswith("id has half of a surrogate pair")

    def test_half_floats_are_only_binary(self) -> None:
        assert "send it as binary data" in refusal(takes(x("float16", None)), one("float16", [1], [1]))
        decoder = takes(x("float32", None), gives=(Tensor("y", "float16", (None,)),))
        plain = one("float32", [1], [1])
        assert 'output "y" is FP16' in refusal(decoder, plain)
        assert 'output "y" is FP16' in refusal(decoder, plain | {"outputs": [{"name": "y"}]})
        plain["parameters"] = {"binary_data_output": True}
        assert decoder.decode(json.dumps(plain).encode()).outputs == (WantedOutput("y", is_binary=True),)


class TestEnvelope:
    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"", 'the body is empty, expected a JSON object with "inputs"'),
            (b"{", "the request's JSON cannot be read: Expecting property name enclosed in double quotes at character"),
            (b"{} x", "the request's JSON cannot be read: Extra data at character 3 of 4"),
            (b'{"id":"\xff"}', "the request's JSON is not UTF-8 at byte 7"),
            (b"[1]", 'the request is a list, expected an object with "inputs"'),
            (b"{}", 'the request has no "inputs"'),
            (b'{"id":1,"inputs":[]}', "id is an integer, expected a text"),
            (b'{"parameters":[],"inputs":[]}', "parameters is a list, expected an object"),
            (b'{"inputs":{}}', "inputs is an object, expected a list"),
            (b'{"inputs":[1]}', "inputs[0] is an integer, expected an object"),
            (b'{"inputs":[{}]}', "inputs[0]: name is missing"),
            (b'{"inputs":[{"name":1}]}', "inputs[0].name is an integer, expected a text"),
            (b'{"inputs":[{"name":"x"}]}', 'input "x": shape is missing'),
            (b'{"inputs":[{"name":"x","shape":3}]}', 'input "x": shape is an integer, expected a list'),
            (b'{"inputs":[{"name":"x","shape":[1,2.0]}]}', 'input "x": shape[1] is a number, expected an integer'),
            (b'{"inputs":[{"name":"x","shape":[true]}]}', 'input "x": shape[0] is a boolean, expected an integer'),
            (b'{"inputs":[{"name":"x","shape":[1]}]}', 'input "x": datatype is missing'),
            (b'{"inputs":[{"name":"x","shape":[1],"datatype":1}]}', 'input "x": datatype is an integer, expected a te'),
            (
                b'{"inputs":[{"name":"x","shape":[-1],"datatype":"FP32","data":[]}]}',
                'input "x": shape [-1] has -1, which is no size',
            ),
            (
                b'{"inputs":[{"name":"x","shape":[99999999999999999999],"datatype":"FP32","data":[]}]}',
                'input "x": shape [99999999999999999999] has',
            ),
            (
                b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","parameters":1,"data":[1]}]}',
                'input "x": parameters is an integer, expected an object',
            ),
            (
                b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}],"outputs":{}}',
                "outputs is an object, expected a list",
            ),
            (
                b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}],"outputs":[{}]}',
                "outputs[0]: name is missing",
            ),
            (b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "the request's JSON is nested too deeply"),
            (
                b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[' + b"9" * 5000 + b"]}]}",
                "the request's JSON has a number with too many digits",
            ),
            (
                b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":["\xff"]}]}',
                "the request's JSON is not UTF-8",
            ),
        ],
    )
    def test_what_is_wrong_is_told_by_its_place(self, body: bytes, said: str) -> None:
        assert refusal(takes(x("float32", None)), body).startswith(said)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"name": "z"}, 'the model has no input "z"; it takes "x" (FP32 [?,2])'),
            ({"datatype": "FP64"}, 'input "x" has datatype "FP64", the model takes FP32 [?,2]'),
            ({"datatype": "fp32"}, 'input "x" has datatype "fp32", the model takes FP32 [?,2]'),
            ({"shape": [2]}, 'input "x" has shape [2], the model takes [?,2]'),
            ({"shape": [1, 3]}, 'input "x" has shape [1,3], the model takes [?,2]'),
            ({"shape": [1] * 33}, 'input "x": shape has 33 dimensions, at most 32 are possible'),
            ({"parameters": {"binary_data_size": 8}}, 'input "x" has data and binary_data_size, expected one of them'),
            (
                {"parameters": {"shared_memory_region": "r"}},
                'input "x": the parameter "shared_memory_region" is not supported here',
            ),
        ],
    )
    def test_what_the_model_does_not_take(self, change: dict[str, Any], said: str) -> None:
        plain = one("float32", [1, 2], [1, 2])
        plain["inputs"][0].update(change)
        assert refusal(takes(x("float32", None, 2)), plain) == said

    def test_several_inputs_in_any_order_each_once(self) -> None:
        decoder = takes(Tensor("a", "float32", (None,)), Tensor("b", "string", (None,)))
        a = {"name": "a", "shape": [1], "datatype": "FP32", "data": [1]}
        b = {"name": "b", "shape": [2], "datatype": "BYTES", "data": ["u", "v"]}
        request = decoder.decode(json.dumps({"inputs": [b, a]}).encode())
        assert request.inputs["a"].tolist() == [1] and request.inputs["b"].tolist() == [b"u", b"v"]
        takes_both = 'the model takes "a" (FP32 [?]), "b" (BYTES [?])'
        assert refusal(decoder, {"inputs": [a]}) == f'input "b" is missing; {takes_both}'
        assert refusal(decoder, {"inputs": []}) == f'inputs "a", "b" are missing; {takes_both}'
        assert refusal(decoder, {"inputs": [a, b, a]}) == 'input "a" is given twice'

    def test_an_input_without_data(self) -> None:
        plain = one("float32", [1], [1])
        del plain["inputs"][0]["data"]
        assert refusal(takes(x("float32", None)), plain).startswith('input "x" has no data: expected "data", or')

    def test_a_type_that_the_protocol_does_not_carry(self) -> None:
        plain = {"inputs": [{"name": "x", "shape": [1], "datatype": "BF16", "data": [1]}]}
        assert "BF16, which cannot be sent" in refusal(takes(x("bfloat16", None)), plain)

    def test_an_open_rank_takes_any_shape_that_can_be(self) -> None:
        decoder = takes(Tensor("x", "float32", None))
        assert decoder.decode(json.dumps(one("float32", [1, 2], [1, 2, 1])).encode()).inputs["x"].shape == (1, 2, 1)
        assert "which is too great" in refusal(decoder, one("float32", [], [0, 2**62, 2**62]))
        assert "data has 1 elements" in refusal(decoder, one("float32", [1], [2**62, 2**62]))
        assert "data is a list of 1" in refusal(decoder, one("float32", [[1]], [2**62] * 30))

    @pytest.mark.parametrize(
        ("outputs", "said"),
        [
            ([{"name": "z"}], 'the model has no output "z"; it gives "y", "w"'),
            ([{"name": "y"}, {"name": "y"}], 'output "y" is asked for twice'),
            (
                [{"name": "y", "parameters": {"binary_data": 1}}],
                'output "y": binary_data is an integer, expected true or false',
            ),
            (
                [{"name": "y", "parameters": {"classification": 3}}],
                'output "y": the parameter "classification" is not supported here',
            ),
        ],
    )
    def test_outputs_that_cannot_be_given(self, outputs: Any, said: str) -> None:
        decoder = takes(x("float32", None), gives=(Y, Tensor("w", "float32", (None,))))
        assert refusal(decoder, one("float32", [1], [1]) | {"outputs": outputs}) == said

    def test_binary_outputs_by_request_and_by_output(self) -> None:
        decoder = takes(x("float32", None), gives=(Y, Tensor("w", "string", (None,))))

        def wanted(**more: Any) -> tuple[WantedOutput, ...]:
            return decoder.decode(json.dumps(one("float32", [1], [1]) | more).encode()).outputs

        everything = {"binary_data_output": True}
        own = [
            {"name": "w", "parameters": {"content_type": "base64"}},
            {"name": "y", "parameters": {"binary_data": True}},
        ]
        assert wanted() == wanted(outputs=[]) == (WantedOutput("y"), WantedOutput("w"))
        assert wanted(parameters=everything) == (WantedOutput("y", True), WantedOutput("w", True))
        assert wanted(outputs=own) == (WantedOutput("w", is_base64=True), WantedOutput("y", True))
        mixed = [{"name": "y", "parameters": {"binary_data": False}}, {"name": "w"}]
        assert wanted(outputs=mixed, parameters=everything) == (WantedOutput("y"), WantedOutput("w", True))
        plain = one("float32", [1], [1]) | {"parameters": {"binary_data_output": "yes"}}
        assert refusal(decoder, plain) == "the request: binary_data_output is a text, expected true or false"


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


SHAPES = st.lists(st.integers(0, 3), max_size=3)


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    dtype, shape = draw(st.sampled_from([*SIZES, "string"])), draw(SHAPES)
    count = math.prod(shape)
    if dtype == "string":
        array = np.empty(count, dtype=object)
        array[:] = draw(st.lists(st.binary(max_size=5), min_size=count, max_size=count))
        return array.reshape(shape)
    raw = draw(st.binary(min_size=count * SIZES[dtype][1], max_size=count * SIZES[dtype][1]))
    if dtype == "bool":
        return np.array([byte & 1 for byte in raw], dtype=bool).reshape(shape)
    return np.frombuffer(raw, dtype).reshape(shape)


def as_input(response: Response) -> tuple[bytes, bytes | None]:
    """An answer's tensors as a request: both have one form."""
    name, _, length = response.extra.partition(b"\r\n")[0].partition(b": ")
    size = int(length) if name == b"Inference-Header-Content-Length" else len(response.body)
    plain = json.loads(response.body[:size])
    head = json.dumps({"inputs": plain["outputs"]}).encode()
    return head + response.body[size:], str(len(head)).encode() if size != len(response.body) else None


class TestRoundTrips:
    @given(st.lists(arrays(), min_size=1, max_size=3), st.data())
    def test_what_is_answered_can_be_sent(self, values: list[Array], data: st.DataObject) -> None:
        outputs = {f"t{index}": value for index, value in enumerate(values)}
        kinds = {name: "string" if value.dtype == object else value.dtype.name for name, value in outputs.items()}
        wanted = []
        for name, kind in kinds.items():
            is_binary = kind == "float16" or data.draw(st.booleans())
            wanted.append(WantedOutput(name, is_binary, kind == "string" and not is_binary))
        body, length = as_input(answer(asked(*wanted), **outputs))
        if length is None and any(one.is_binary for one in wanted):
            length = str(len(body)).encode()  # all that is binary is empty
        tensors = [Tensor(name, kind, (None,) * outputs[name].ndim) for name, kind in kinds.items()]
        got = takes(*tensors).decode(body, length).inputs
        for name, value in outputs.items():
            assert got[name].dtype == value.dtype and got[name].shape == value.shape
            np.testing.assert_array_equal(got[name], value)

    @given(st.binary(max_size=40), st.lists(st.sampled_from(["x", "w"]), max_size=3), st.integers(0, 12))
    def test_any_tail_is_read_or_refused(self, tail: bytes, names: list[str], size: int) -> None:
        kinds = {"x": ("string", "BYTES"), "w": ("int16", "INT16")}
        inputs = [
            {"name": name, "datatype": kinds[name][1], "shape": [2], "parameters": {"binary_data_size": size}}
            for name in names
        ]
        decoder = takes(*(Tensor(name, kind, (None,)) for name, (kind, _) in kinds.items()))
        try:
            request = decoder.decode(*binary({"inputs": inputs}, tail))
        except BadRequestError:
            return
        assert sum(len(item) + 4 for item in request.inputs["x"]) + request.inputs["w"].nbytes == len(tail)

    @given(st.binary(max_size=60) | st.text(alphabet='{}[]":,01e.-NaIn t\\u', max_size=60).map(str.encode))
    def test_any_body_is_read_or_refused(self, body: bytes) -> None:
        for length in (None, b"0", b"7"):
            with contextlib.suppress(BadRequestError):
                takes(x("float32", None)).decode(body, length)

    @given(
        st.sampled_from(["FP32", "FP64", "INT8", "UINT32", "INT64", "UINT64"]),
        SHAPES,
        st.recursive(
            st.one_of(
                st.integers(-(2**65), 2**65), st.floats(), st.integers(0, 3), st.booleans(), st.none(), st.text()
            ),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=12,
        ),
    )
    def test_the_quick_way_never_reads_otherwise_than_the_exact_one(
        self, datatype: str, shape: list[int], value: Any
    ) -> None:
        text = json.dumps(value).encode()
        quick = Reader()._quick(datatype, tuple(shape), msgspec.Raw(text))
        if quick is not None:
            exact = Reader().read("x", datatype, tuple(shape), json.loads(text), is_base64=False)
            assert quick.dtype == exact.dtype and quick.shape == exact.shape
            np.testing.assert_array_equal(quick, exact)

    def test_the_quick_way_takes_plain_numbers(self) -> None:
        for text in (b"[1,2,3,4]", b"[[1, 2], [3, 4]]", b"[ [1,2],\n[3,4] ]"):
            for kind in ("FP32", "FP64", "INT8", "INT64", "UINT16", "UINT64"):
                quick = Reader()._quick(kind, (2, 2), msgspec.Raw(text))
                assert quick is not None and quick.tolist() == [[1, 2], [3, 4]]

    @pytest.mark.parametrize("shape", [(60_000, 3), (180_000,)])
    @pytest.mark.parametrize(("kind", "spaces"), [("FP32", b" "), ("FP64", b""), ("INT32", b"")])
    def test_long_data_is_read_in_pieces_and_as_strictly(
        self, shape: tuple[int, ...], kind: str, spaces: bytes
    ) -> None:
        value = np.arange(180_000).reshape(shape)
        text = json.dumps(value.tolist()).encode().replace(b", ", b"," + spaces)
        assert len(text) > 1_000_000

        def quick(text: bytes) -> Array | None:
            return Reader()._quick(kind, shape, msgspec.Raw(text))

        got = quick(text)
        assert got is not None
        np.testing.assert_array_equal(got, value)
        for changed in (
            text.replace(b"179999", b"179999,1"),
            text.replace(b"179999", b'"179999"'),
            text.replace(b"179999", b"[179999]"),
            text.replace(b"90001", b"null"),
            json.dumps(text.decode()).encode(),
            b'"' + text[1:-1] + b'"',
            text.replace(b"," + spaces + b"179999", b""),
        ):
            assert quick(changed) is None

    def test_both_ways_read_one_envelope(self) -> None:
        plain = one("float32", [1], [1], parameters={"a": 1}) | {"id": "7", "outputs": [{"name": "y"}], "more": {}}
        quick = v2_head.parse(json.dumps(plain).encode())
        plain["inputs"][0]["data"] = [math.nan]
        exact = v2_head.parse(json.dumps(plain).encode())
        assert isinstance(quick.inputs[0], v2_head.QuickInput) and isinstance(exact.inputs[0], v2_head.ExactInput)
        for member in ("id", "parameters", "outputs"):
            assert getattr(quick, member) == getattr(exact, member)
        for member in ("name", "shape", "datatype", "parameters"):
            assert getattr(quick.inputs[0], member) == getattr(exact.inputs[0], member)


class TestMutations:
    """Requests that were right, changed at random: each is refused, or gives tensors that the model takes."""

    TENSORS = (Tensor("x", "float32", (None, 2)), Tensor("s", "string", (None,)), Tensor("i", "int64", (None, 1)))
    PLAIN: dict[str, Any] = {
        "id": "é7",
        "parameters": {"binary_data_output": False},
        "inputs": [
            {"name": "i", "shape": [2, 1], "datatype": "INT64", "data": [[-3], [9007199254740993]]},
            {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1.5, -2e3, 0.25, 4]},
            {"name": "s", "shape": [2], "datatype": "BYTES", "data": ["\u00e9", "b"]},
        ],
        "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
    }
    PIECES = tuple(b'[ ] { } , : " 0 - e 1e999 NaN null true \\ud800 [[ ]] {} \xff \0 99999999999999999999'.split())

    def seeds(self) -> list[tuple[bytes, bytes | None]]:
        inputs = [dict(plain) for plain in self.PLAIN["inputs"]]
        for plain, size in ((inputs[1], 16), (inputs[2], 11)):
            del plain["data"]
            plain["parameters"] = {"binary_data_size": size}
        tail = struct.pack("<4f", 1, 2, 3, 4) + b"\2\0\0\0ab\1\0\0\0c"
        return [(json.dumps(self.PLAIN).encode(), None), binary(self.PLAIN | {"inputs": inputs}, tail)]

    def changed(self, random: Random, body: bytes) -> bytes:
        for _ in range(random.randint(1, 3)):
            at, end = sorted(random.choices(range(len(body) + 1), k=2))
            end = min(end, at + 12)
            match random.randrange(4):
                case 0:
                    body = body[:at] + body[end:]
                case 1:
                    body = body[:at] + random.choice(self.PIECES) + body[at:]
                case 2:
                    body = body[:at] + random.choice(self.PIECES) + body[end:]
                case _:
                    body = body[:end] + body[at:]
        return body

    def test_none_breaks_the_reader_or_gives_what_the_model_does_not_take(self) -> None:
        random, decoder, seeds, read_count = Random(6), takes(*self.TENSORS), self.seeds(), 0
        for _ in range(MUTATIONS):
            body, length = random.choice(seeds)
            if length is not None and not random.randrange(8):
                length = b"%d" % (int(length) + random.randint(-9, 9))
            try:
                request = decoder.decode(self.changed(random, body), length)
            except BadRequestError:
                continue
            read_count += 1
            for tensor in self.TENSORS:
                value = request.inputs[tensor.name]
                assert tensor.accepts(value.shape)
                assert value.dtype == (object if tensor.dtype == "string" else np.dtype(tensor.dtype))
            assert answer(request, y=np.zeros(2, np.float32)).status == 200
        assert read_count > MUTATIONS // 100


class TestDescriptions:
    def test_the_server(self) -> None:
        assert json.loads(v2_describe.server("1.2.3").body) == {
            "name": "skylift",
            "version": "1.2.3",
            "extensions": ["binary_tensor_data"],
        }

    def test_a_model(self) -> None:
        signature = ModelSignature(
            (x("float32", None, 28, 28, 1), Tensor("s", "string", ()), Tensor("any", "bfloat16", None)),
            (Tensor("y", "int64", (None, None)),),
        )
        response = v2_describe.model("m", [3, 4], "onnx", signature, b"X-Own: 1\r\n")
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
        assert b'"tensorflow_savedmodel"' in v2_describe.model("m", [1], "tensorflow", signature).body

    def test_what_is_ready(self) -> None:
        assert json.loads(v2_describe.live().body) == {"live": True}
        assert v2_describe.server_ready(is_ready=True).status == 200
        assert v2_describe.server_ready(is_ready=False).status == 503
        assert json.loads(v2_describe.server_ready(is_ready=False).body) == {"live": True, "ready": False}
        ready = v2_describe.model_ready("m", is_ready=True)
        assert ready.status == 200 and json.loads(ready.body) == {"name": "m", "ready": True}
        assert v2_describe.model_ready("m", is_ready=False).status == 503
