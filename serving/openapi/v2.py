"""The Open Inference Protocol v2 in the document."""

from __future__ import annotations

from typing import Any

from serving.http.v2_types import BYTES, ONLY_BINARY, datatype, is_carried
from serving.openapi import tensors
from serving.openapi.facts import ServedVersion
from serving.openapi.parts import JSON, Document, in_path, json_answer, objects
from serving.signature import ModelSignature, Tensor

_REFUSALS = (400, 404, 413, 415, 429, 500, 503, 504)
_TEXT = {"type": "string"}
_SIZES = {"type": "array", "items": {"type": "integer"}}
_DESCRIBED = {"type": "array", "items": objects({"name": _TEXT, "datatype": _TEXT, "shape": _SIZES})}
_DTYPES = {"FP32": "float32", "FP64": "float64", "BOOL": "bool", BYTES: "string"}
_TAG = {"tags": ["Open Inference Protocol"]}


def add_server(document: Document, *, can_manage: bool) -> None:
    """What is not about one model."""
    live = {"200": json_answer("The server is there.", objects({"live": {"type": "boolean"}}))}
    ready = {
        "200": json_answer("It is ready.", {"type": "object"}),
        "503": json_answer("It is not.", {"type": "object"}),
    }
    about = objects({"name": _TEXT, "version": _TEXT, "extensions": {"type": "array", "items": _TEXT}})
    document.add(
        "/v2",
        "get",
        "v2_server",
        {
            **_TAG,
            "summary": "About this server",
            "responses": {"200": json_answer("What it is.", about), **document.errors()},
        },
    )
    document.add(
        "/v2/health/live", "get", "v2_live", {**_TAG, "summary": "Is it there", "responses": live}, is_open=True
    )
    document.add(
        "/v2/health/ready", "get", "v2_ready", {**_TAG, "summary": "Is it ready", "responses": ready}, is_open=True
    )
    _add_statistics(document, "/v2/models/stats", "all models")
    state = {"enum": ["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]}
    entry = objects({"name": _TEXT, "version": _TEXT, "state": state, "reason": _TEXT})
    index = json_answer("Every version that is known.", {"type": "array", "items": entry})
    body = {"content": {JSON: {"schema": objects({"ready": {"type": "boolean"}}, required=[])}}}
    document.add(
        "/v2/repository/index",
        "post",
        "v2_index",
        {**_TAG, "summary": "All models", "requestBody": body, "responses": {"200": index, **document.errors(400)}},
    )
    if can_manage:
        for verb in ("load", "unload"):
            _add_change(document, verb)


def _add_change(document: Document, verb: str) -> None:
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    answers = {"200": json_answer("Done.", {"type": "object"}), **document.errors(400, 404, 501, 503)}
    plain = {**_TAG, "summary": f"{verb.capitalize()} a model", "parameters": [name], "responses": answers}
    document.add(f"/v2/repository/models/{{name}}/{verb}", "post", f"v2_{verb}", plain)


def _add_statistics(document: Document, path: str, what: str) -> None:
    answers = {
        "200": json_answer(
            "Counts and times since each version was loaded.",
            objects({"model_stats": {"type": "array", "items": {"type": "object"}}}),
        ),
        **document.errors(400, 404),
    }
    document.add(path, "get", f"v2_stats_{what}", {**_TAG, "summary": f"Statistics of {what}", "responses": answers})


def add(document: Document, version: ServedVersion) -> None:
    """All paths of a version: under its number and, where it answers for the name alone, under that."""
    main = version.main_signature
    if main is None:
        return
    signature = version.signatures[main]
    start = f"/v2/models/{in_path(version.name)}"
    ends = [(f"/versions/{version.version}", f"_{version.version}")]
    if version.is_default:
        ends.insert(0, ("", ""))
    infer = _infer(document, f"{version.name}.{version.version}.infer", signature)
    for path, mark in ends:
        _add_one(document, start + path, version.name + mark, version.name, infer)


def _add_one(document: Document, path: str, name: str, tag: str, infer: dict[str, Any]) -> None:
    about = {"tags": [tag]}
    document.add(f"{path}/infer", "post", f"v2_infer_{name}", {**about, "summary": f"Infer by {name}", **infer})
    model = objects(
        {
            "name": _TEXT,
            "versions": {"type": "array", "items": _TEXT},
            "platform": _TEXT,
            "inputs": _DESCRIBED,
            "outputs": _DESCRIBED,
        }
    )
    answers = {"200": json_answer("What it takes and gives.", model), **document.errors(400, 404, 503)}
    document.add(
        path, "get", f"v2_model_{name}", {**about, "summary": f"Inputs and outputs of {name}", "responses": answers}
    )
    ready = objects({"name": _TEXT, "ready": {"type": "boolean"}})
    answers = {
        "200": json_answer("It answers.", ready),
        **document.errors(400, 404),
        "503": json_answer("It does not.", {"type": "object"}),
    }
    document.add(
        f"{path}/ready", "get", f"v2_ready_{name}", {**about, "summary": f"Does {name} answer", "responses": answers}
    )
    _add_statistics(document, f"{path}/stats", name)


# infer


def _infer(document: Document, key: str, signature: ModelSignature) -> dict[str, Any]:
    header = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "required": False,
        "description": "Length of the JSON, where tensors follow it as bytes.",
        "schema": {"type": "integer", "minimum": 0},
    }
    content: dict[str, Any] = {}
    kinds = [datatype(tensor.dtype) for tensor in signature.inputs]
    if all(is_carried(kind) and kind not in ONLY_BINARY for kind in kinds):
        content[JSON] = {"schema": document.schema(f"{key}.request", _request(document, signature))}
        if tensors.is_short(signature):
            content[JSON]["examples"] = {"zeros": {"summary": "Zeros", "value": example(signature)}}
    content["application/octet-stream"] = {}
    text = "JSON, or JSON and behind it tensors as bytes (binary tensor data extension)."
    answer = {
        "description": "The outputs, in the order that was asked for.",
        "content": {
            JSON: {"schema": document.schema(f"{key}.answer", _answer(signature))},
            "application/octet-stream": {},
        },
    }
    return {
        "parameters": [header],
        "requestBody": document.body(key, {"required": True, "description": text, "content": content}),
        "responses": {"200": document.answer(key, answer), **document.errors(*_REFUSALS)},
    }


def _request(document: Document, signature: ModelSignature) -> dict[str, Any]:
    inputs = [_input(document, tensor) for tensor in signature.inputs]
    count = len(inputs)
    output = objects(
        {"name": {"enum": [tensor.name for tensor in signature.outputs]}, "parameters": {"type": "object"}},
        required=["name"],
    )
    properties = {
        "id": {"type": "string", "description": "Comes back with the answer."},
        "inputs": {"type": "array", "minItems": count, "maxItems": count, "items": _any_of(inputs)},
        "outputs": {"type": "array", "items": output, "description": "Those that are wanted; all if it is not given."},
        "parameters": {"type": "object"},
    }
    return objects(properties, required=["inputs"])


def _any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _input(document: Document, tensor: Tensor) -> dict[str, Any]:
    kind = datatype(tensor.dtype)
    properties = {
        "name": {"const": tensor.name},
        "datatype": {"const": kind},
        "shape": _shape(tensor),
        "data": _data(document, kind, tensor.dtype),
        "parameters": {"type": "object"},
    }
    return objects(properties, required=["name", "datatype", "shape", "data"])


def _shape(tensor: Tensor) -> dict[str, Any]:
    if tensor.shape is None:
        return {"type": "array", "items": {"type": "integer", "minimum": 0}}
    sizes = [{"type": "integer", "minimum": 0} if size is None else {"const": size} for size in tensor.shape]
    shape: dict[str, Any] = {"type": "array", "minItems": len(sizes), "maxItems": len(sizes)}
    return {**shape, "prefixItems": sizes} if sizes else shape


def _data(document: Document, kind: str, dtype: str) -> dict[str, str]:
    """Flat, or nested as the shape has it."""
    name = f"Data.{kind}"
    reference = {"$ref": f"#/components/schemas/{name}"}
    if name not in document.schemas:
        items = {"anyOf": [tensors.scalar(dtype, has_base64=False), reference]}
        document.schemas[name] = {
            "type": "array",
            "description": f"{kind}, flat in row-major order or nested",
            "items": items,
        }
    return reference


def _answer(signature: ModelSignature) -> dict[str, Any]:
    output = objects(
        {
            "name": {"enum": [tensor.name for tensor in signature.outputs]},
            "datatype": _TEXT,
            "shape": _SIZES,
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
        required=["name", "datatype", "shape"],
    )
    outputs = {"type": "array", "items": output}
    properties = {"model_name": _TEXT, "model_version": _TEXT, "id": _TEXT, "outputs": outputs}
    return objects(properties, required=["model_name", "model_version", "outputs"])


def example(signature: ModelSignature) -> dict[str, Any]:
    """A request of zeros."""
    return {
        "inputs": [
            {
                "name": tensor.name,
                "shape": list(tensors.example_shape(tensor)),
                "datatype": datatype(tensor.dtype),
                "data": tensors.flat_zeros(tensor),
            }
            for tensor in signature.inputs
        ]
    }
