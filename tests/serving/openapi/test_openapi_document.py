"""The document is valid, its examples are what its schemas say and what the server's own readers take."""

from __future__ import annotations

import dataclasses
import gzip
import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

import hypothesis
import jsonschema_rs
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from serving.http import json_in, json_out
from serving.http.v2_request import Decoder
from serving.http.v2_response import Encoder
from serving.openapi.document import Kept, build
from serving.openapi.facts import ServedVersion, ServerFacts
from tests.serving.openapi import openapi_models as given

GUARDED = dataclasses.replace(given.SERVER, is_guarded=True)


def document(facts: ServerFacts = given.SERVER) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(build(facts))
    return plain


DOCUMENT = document()


def operations(plain: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in plain["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def follow(plain: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found: Any = plain
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def is_valid(schema: Any, value: Any) -> bool:
    return jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]}).is_valid(value)


def schema_of(path: str, *, answer: bool = False) -> Any:
    operation = DOCUMENT["paths"][path]["post"]
    part = operation["responses"]["200"] if answer else operation["requestBody"]
    return follow(DOCUMENT, part)["content"]["application/json"]["schema"]


def examples() -> list[Any]:
    found = []
    for path, _, operation in operations(DOCUMENT):
        content = follow(DOCUMENT, operation.get("requestBody", {})).get("content", {})
        for name, example in content.get("application/json", {}).get("examples", {}).items():
            found.append(pytest.param(path, example["value"], id=f"{path} {name}"))
    return found


@pytest.mark.parametrize("facts", [given.SERVER, given.EMPTY, GUARDED], ids=["all", "empty", "guarded"])
def test_it_is_valid(facts: ServerFacts) -> None:
    plain = document(facts)
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(plain)] == []
    assert len(list(schemathesis.openapi.from_dict(plain).get_all_operations())) == len(list(operations(plain)))


def test_every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            node = list(node.values())
        if isinstance(node, list):
            for one in node:
                yield from references(one)

    for reference in references(DOCUMENT):
        assert follow(DOCUMENT, {"$ref": reference})
    names = [operation["operationId"] for _, _, operation in operations(DOCUMENT)]
    assert len(names) == len(set(names)) and all(
        name.replace("_", "a").replace(".", "a").replace("-", "a").isalnum() for name in names
    )


def test_each_model_version_and_label_has_its_paths() -> None:
    paths = DOCUMENT["paths"]
    for start in ("/v1/models/digits", "/v1/models/digits/versions/3", "/v1/models/digits/labels/a%20b%2F%7Bc%7D"):
        assert {"post"} == set(paths[f"{start}:predict"]) == set(paths[f"{start}:explain"])
        assert set(paths[start]) == set(paths[f"{start}/metadata"]) == {"get"}
    assert "/v1/models/digits/versions/2:predict" in paths
    assert "/v1/models/digits/versions/2:explain" not in paths  # that version has no such signature
    assert "/v1/models/several%20inputs%20%7Bodd%7D:predict" in paths
    assert {"/v1/models/examples:classify", "/v1/models/examples:regress"} <= set(paths)
    assert {"/v2/models/digits/infer", "/v2/models/digits/versions/2/infer", "/v2/models/fixed/stats"} <= set(paths)
    assert {
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/repository/index",
        "/healthz",
        "/readyz",
        "/metrics",
    } <= set(paths)
    assert {"/invocations", "/ping", "/score"} <= set(paths)


@pytest.mark.parametrize(("path", "value"), examples())
def test_examples_are_what_their_schemas_say(path: str, value: Any) -> None:
    assert is_valid(schema_of(path), value)


def version_of(path: str) -> ServedVersion:
    match = re.match(r"/v[12]/models/([^/:]+)(?:/versions/(\d+))?", path)
    if match is None:
        return given.SEVERAL if path == "/score" else given.DIGITS
    name, number = unquote(match[1]), match[2]
    return next(one for one in given.VERSIONS if one.name == name and number in (None, str(one.version)))


@pytest.mark.parametrize(("path", "value"), examples())
def test_the_servers_own_readers_take_the_examples(path: str, value: Any) -> None:
    version = version_of(path)
    body = json.dumps(value).encode()
    if path.startswith("/v2"):
        signature = version.signatures[version.main_signature or ""]
        inputs = Decoder(signature).decode(body).inputs
    else:
        name = value.get("signature_name") or ("explain" if path.endswith(":explain") else "serving_default")
        signature = version.signatures[name]
        inputs = json_in.decode(json_in.parse(body), name, signature).inputs
    for tensor in signature.inputs:
        assert tensor.accepts(inputs[tensor.name].shape)


def test_there_is_an_example_for_everything_that_json_carries_and_that_is_short() -> None:
    shown = {path for path, _ in (param.values for param in examples())}
    for name in ("digits", "houses", "fixed", "scalar", "open", "examples"):
        assert {f"/v1/models/{name}:predict", f"/v2/models/{name}/infer"} <= shown
    assert not any("large" in path or "half" in path for path in shown)
    assert DOCUMENT["components"]["requestBodies"]["houses.1.predict"]["content"]["application/json"]["examples"][
        "sample"
    ]["value"] == {"instances": [[120.5, 4.0, 30.0]]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/v1/models/houses:predict", {"instances": [[1, 2]]}),
        ("/v1/models/houses:predict", {"instances": []}),
        ("/v1/models/houses:predict", {"instances": [[1, 2, "3"]]}),
        ("/v1/models/houses:predict", {"instances": [{"y": [1, 2, 3]}]}),
        ("/v1/models/houses:predict", {"inputs": [[1, 2, 3]], "instances": [[1, 2, 3]]}),
        ("/v1/models/houses:predict", {"inputs": {}}),
        ("/v1/models/houses:predict", {"instances": [[1, 2, 3]], "signature_name": "other"}),
        ("/v1/models/houses:predict", {"instances": [[1, 2, 3]], "output_filter": ["cost"]}),
        ("/v1/models/several%20inputs%20%7Bodd%7D:predict", {"instances": [{"a": 1, "b": ["x", "y"]}]}),
        ("/v1/models/several%20inputs%20%7Bodd%7D:predict", {"inputs": [[1.0]]}),
        ("/v1/models/fixed:predict", {"instances": [[1, 2, 3]], "signature_name": "only"}),
        ("/v1/models/digits:predict", {"instances": [[[0.5]]]}),
    ],
)
def test_what_readers_refuse_the_schemas_refuse(path: str, value: Any) -> None:
    assert not is_valid(schema_of(path), value)
    version = version_of(path)
    name = value.get("signature_name", "serving_default")
    signature = version.signatures.get(name)
    if signature is None:
        return
    try:
        inputs = json_in.decode(value, name, signature).inputs
    except json_in.BadRequestError:
        return
    assert not all(tensor.accepts(inputs[tensor.name].shape) for tensor in signature.inputs)


@pytest.mark.parametrize(
    "version", [given.DIGITS, given.HOUSES, given.SEVERAL, given.EXAMPLES, given.OPEN], ids=lambda one: one.name
)
def test_answers_are_what_their_schemas_say(version: ServedVersion) -> None:
    signature = version.signatures["serving_default"]
    outputs: dict[str, Any] = {}
    for tensor in signature.outputs:
        shape = tuple(3 if size is None else size for size in ((None, 2) if tensor.shape is None else tensor.shape))
        outputs[tensor.name] = (
            np.full(shape, b"text", object) if tensor.dtype == "string" else np.ones(shape, tensor.dtype)
        )
    quoted = quote(version.name, safe="")
    schema = schema_of(f"/v1/models/{quoted}:predict", answer=True)
    assert is_valid(schema, json.loads(json_out.rows(outputs)))
    assert is_valid(schema, json.loads(json_out.columns(outputs)))
    first = {next(iter(outputs)): next(iter(outputs.values()))}
    assert is_valid(schema, json.loads(json_out.rows(first)))  # what an output filter leaves
    decoder = Decoder(signature)
    asked = decoder.decode(json.dumps(next(iter(follow_example(quoted)))).encode())
    answer = Encoder(version.name, version.version).encode(asked, outputs)
    assert is_valid(schema_of(f"/v2/models/{quoted}/infer", answer=True), json.loads(answer.body))
    assert not is_valid(schema, {"predictions": "none"})


def follow_example(quoted: str) -> Iterator[Any]:
    body = follow(DOCUMENT, DOCUMENT["paths"][f"/v2/models/{quoted}/infer"]["post"]["requestBody"])
    for example in body["content"]["application/json"]["examples"].values():
        yield example["value"]


def test_media_types_are_those_that_the_model_takes() -> None:
    def types(key: str) -> set[str]:
        return set(DOCUMENT["components"]["requestBodies"][key]["content"])

    assert {"image/png", "image/jpeg", "application/x-npy", "text/csv", "application/json"} < types("digits.3.predict")
    assert types("houses.1.predict") == {"application/json", "application/x-npy", "application/x-npz", "text/csv"}
    assert types("several_inputs__odd_.7.predict") == {"application/json", "application/x-npz"}
    assert types("half.1.predict") == {"application/x-npy", "application/x-npz", "text/csv"}
    assert types("fixed.1.predict") == {"application/json"}  # its signature must be named, which only JSON can
    answers = DOCUMENT["components"]["responses"]["digits.3.predict"]["content"]
    assert set(answers) == {"application/json", "application/x-npy", "application/x-npz", "text/csv"}


def test_where_a_key_must_be_sent() -> None:
    plain = document(GUARDED)
    assert plain["security"] == [{"key": []}, {"token": []}]
    assert plain["paths"]["/healthz"]["get"]["security"] == [] == plain["paths"]["/ping"]["get"]["security"]
    assert {"401", "403"} <= set(plain["paths"]["/v1/models/digits:predict"]["post"]["responses"])
    assert (
        "security" not in DOCUMENT and "401" not in DOCUMENT["paths"]["/v1/models/digits:predict"]["post"]["responses"]
    )


def test_what_is_off_is_not_there() -> None:
    paths = document(dataclasses.replace(given.SERVER, has_tfs=False, has_metrics=False, can_manage=False))["paths"]
    assert not any(path.startswith(("/v1", "/metrics", "/v2/repository/models", "/invocations")) for path in paths)
    paths = document(dataclasses.replace(given.SERVER, has_v2=False))["paths"]
    assert not any(path.startswith("/v2") for path in paths)


def test_it_is_built_once_for_what_is_served() -> None:
    kept, built = Kept(), []

    def facts() -> ServerFacts:
        built.append(1)
        return given.SERVER

    first = kept.get(1, facts)
    assert kept.get(1, facts) is first and gzip.decompress(first.gzip) == first.body
    assert kept.get(2, facts).etag == first.etag and len(built) == 2
    assert kept.get(3, lambda: given.EMPTY).etag != first.etag


def test_a_hundred_models_take_no_second() -> None:
    many = [dataclasses.replace(given.DIGITS, name=f"model-{number}") for number in range(100)]
    began = time.process_time()
    body = build(ServerFacts(many, "0.1.0"))
    assert time.process_time() - began < 2
    assert len(body) < 5_000_000


def whole(value: Any) -> Any:
    """For JSON Schema 1.0 is an integer; for TensorFlow Serving it is not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [whole(one) for one in value]
    return {name: whole(one) for name, one in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("path", ["/v1/models/houses:predict", "/v1/models/fixed:predict", "/v1/models/scalar:predict"])
def test_whatever_the_schemas_allow_the_readers_take(path: str) -> None:
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path]["POST"]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @hypothesis.given(operation.as_strategy())
    def read(case: Any) -> None:
        if case.media_type != "application/json":
            return
        version, value = version_of(path), whole(case.body)
        name = value.get("signature_name", "serving_default")
        inputs = json_in.decode(json_in.parse(json.dumps(value).encode()), name, version.signatures[name]).inputs
        for tensor in version.signatures[name].inputs:
            assert tensor.accepts(inputs[tensor.name].shape) or 0 in inputs[tensor.name].shape

    read()
