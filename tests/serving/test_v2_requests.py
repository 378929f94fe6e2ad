"""Requests of the Open Inference Protocol as JSON: what is read, and how what is wrong is told."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from serving.http.v2_request import WantedOutput
from serving.signature import Tensor
from tests.serving.v2_messages import NUMERIC, SIZES, Y, binary, one, read, refusal, takes, x


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
