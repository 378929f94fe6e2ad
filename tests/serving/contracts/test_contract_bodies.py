"""What a body that names no protocol means."""

from __future__ import annotations

import json

import pytest

from serving.contracts import bodies
from serving.http.json_in import BadRequestError


class TestKind:
    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            (b'{"instances": [[1, 2]]}', "tfs"),
            (b'{"signature_name": "x", "inputs": [[1]]}', "tfs"),
            (b'{"inputs": [{"b64": "AA=="}]}', "tfs"),
            (b'{"examples": [{"x": 1}]}', "tfs"),
            (b'{"id":"a","inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}', "v2"),
            (b'{"inputs": [ {"name": "x", "data": [1], "shape": [1], "datatype": "FP32"}]}', "v2"),
            (b"[1, 2, 3]", "values"),
            (b'{"x": 1}', "values"),
        ],
    )
    def test_it_is_told_by_its_members(self, body: bytes, kind: str) -> None:
        assert bodies.kind_of(body) == kind


class TestValues:
    @pytest.mark.parametrize(
        ("body", "instances"),
        [
            (b"[1, 2, 3]", [[1, 2, 3]]),
            (b"[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
            (b" \n[\n[1, 2],\n[3, 4]\n]\n", [[1, 2], [3, 4]]),
            (b'{"x": [1]}', [{"x": [1]}]),
            (b'[{"x": 1}, {"x": 2}]', [{"x": 1}, {"x": 2}]),
            (b"5", [5]),
            (b"[1]\n[2]\n", [[1], [2]]),
            (b'{"x": 1}{"x": 2}', [{"x": 1}, {"x": 2}]),
            (b'{"x": "}\\n{"}', [{"x": "}\n{"}]),
            (b'{\n "x": 1\n}\n{\n "x": 2\n}', [{"x": 1}, {"x": 2}]),
        ],
    )
    def test_they_are_rows(self, body: bytes, instances: object) -> None:
        assert json.loads(bodies.as_instances(body)) == {"instances": instances}

    @pytest.mark.parametrize("body", [b"", b"  \n", b"[1]\n[2", b"\xff\n\xff"])
    def test_what_is_none_is_a_mistake_of_the_client(self, body: bytes) -> None:
        with pytest.raises(BadRequestError):
            bodies.as_instances(body)


class TestParameters:
    def test_what_they_ask_for_goes_where_tensorflow_serving_has_it(self) -> None:
        body = b'{"instances": [[1]], "parameters": {"signature_name": "s", "output_filter": ["y"]}}'
        assert json.loads(bodies.without_parameters(body)) == {
            "instances": [[1]],
            "signature_name": "s",
            "output_filter": ["y"],
        }

    def test_none_are_left_out(self) -> None:
        assert bodies.without_parameters(b'{"instances":[[1]],"parameters":{}}') == b'{"instances":[[1]]}'
        assert bodies.without_parameters(b'{"instances":[[1]],"parameters":null}') == b'{"instances":[[1]]}'

    def test_an_unknown_one_is_named(self) -> None:
        with pytest.raises(BadRequestError, match=r"'top_k'.*'signature_name' and 'output_filter'"):
            bodies.without_parameters(b'{"instances": [1], "parameters": {"top_k": 3}}')

    def test_a_body_without_stays_as_it_is(self) -> None:
        body = b'{"instances": [[1, NaN]]}'
        assert bodies.without_parameters(body) is body


class TestTriton:
    def test_the_length_stands_in_the_type(self) -> None:
        kind = b"application/vnd.sagemaker-triton.binary+json;json-header-size=87"
        assert bodies.header_length(kind) == b"87"
        assert bodies.header_length(b"application/json") is None

    def test_without_it_the_type_is_refused(self) -> None:
        with pytest.raises(BadRequestError, match="json-header-size"):
            bodies.header_length(b"application/vnd.sagemaker-triton.binary+json")
