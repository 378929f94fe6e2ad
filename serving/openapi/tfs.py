"""TensorFlow Serving's REST in the document: a path for each model, version and label, with the schemas of its own signatures."""

from __future__ import annotations

from typing import Any

from serving.interface import CLASSIFY, REGRESS
from serving.media import images, read
from serving.media.facts import VersionFacts
from serving.openapi import tensors
from serving.openapi.facts import ServedVersion
from serving.openapi.parts import JSON, Document, in_path, json_answer, objects
from serving.signature import DEFAULT_SIGNATURE, EXPLAIN_SIGNATURE, ModelSignature

_REFUSALS = (400, 404, 406, 413, 415, 429, 500, 501, 503, 504)
_BINARY: dict[str, Any] = {}
_STATUS = {
    "model_version_status": {
        "type": "array",
        "items": objects(
            {
                "version": {"type": "string"},
                "state": {"enum": ["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
                "status": objects({"error_code": {"type": "string"}, "error_message": {"type": "string"}}),
            }
        ),
    }
}


def add(document: Document, version: ServedVersion) -> None:
    """All paths of a version: under its number, its labels and, where it answers for the name alone, under that."""
    document.schemas.setdefault("Base64", tensors.BASE64)
    document.schemas.setdefault("ModelStatus", objects(_STATUS))
    start = f"/v1/models/{in_path(version.name)}"
    ends = [(f"/versions/{version.version}", f"_{version.version}")]
    ends += [(f"/labels/{in_path(label)}", f"_{label}") for label in version.labels]
    if version.is_default:
        ends.insert(0, ("", ""))
    made = _Made(document, version)
    for path, mark in ends:
        made.add(start + path, f"{version.name}{mark}")


class _Made:
    """Bodies and answers of one version, made once and referred to by each of its paths."""

    def __init__(self, document: Document, version: ServedVersion) -> None:
        self._document = document
        self._version = version
        self._about = {"tags": [version.name]}
        self._key = f"{version.name}.{version.version}"
        self._verbs: dict[str, dict[str, Any]] = {}
        if version.signatures:
            predict = self._verbs["predict"] = self._predict(self._predicted(), "predict")
            document.predictions[version.name, version.version] = predict
        if EXPLAIN_SIGNATURE in version.signatures:
            self._verbs["explain"] = self._predict([EXPLAIN_SIGNATURE], "explain")
        for verb, method in (("classify", CLASSIFY), ("regress", REGRESS)):
            names = [name for name in version.signatures if version.method(name) == method]
            if names:
                self._verbs[verb] = self._examples(verb, names)

    def add(self, path: str, name: str) -> None:
        titles = {
            "predict": "Predict",
            "explain": "Say what predictions go by",
            "classify": "Classify",
            "regress": "Regress",
        }
        for verb, operation in self._verbs.items():
            plain = {**self._about, "summary": f"{titles[verb]} by {name}", **operation}
            self._document.add(f"{path}:{verb}", "post", f"{verb}_{name}", plain)
        status = json_answer(
            "The versions that are known and how each fares.", {"$ref": "#/components/schemas/ModelStatus"}
        )
        self._get(path, f"status_{name}", f"How {name} fares", status)
        metadata = json_answer("The signatures.", {"type": "object"})
        self._get(f"{path}/metadata", f"metadata_{name}", f"Signatures of {name}", metadata)

    def _get(self, path: str, operation: str, summary: str, answer: dict[str, Any]) -> None:
        answers = {"200": answer, **self._document.errors(400, 404, 503)}
        self._document.add(path, "get", operation, {**self._about, "summary": summary, "responses": answers})

    def _predicted(self) -> list[str]:
        names = [name for name in self._version.signatures if name != EXPLAIN_SIGNATURE]
        return sorted(names, key=lambda name: (name != DEFAULT_SIGNATURE, name)) or list(self._version.signatures)

    # predict and explain

    def _predict(self, names: list[str], verb: str) -> dict[str, Any]:
        document, key = self._document, f"{self._key}.{verb}"
        signatures = {name: self._version.signatures[name] for name in names}
        is_implied = {name: name == names[0] and name in (DEFAULT_SIGNATURE, EXPLAIN_SIGNATURE) for name in names}
        asked = [
            document.schema(f"{key}.{name}.request", request(name, signature, is_implied=is_implied[name]))
            for name, signature in signatures.items()
            if all(tensors.has_json(tensor) for tensor in signature.inputs)
        ]
        answered = [document.schema(f"{key}.{name}.answer", answer(one)) for name, one in signatures.items()]
        content: dict[str, Any] = {}
        if asked:
            content[JSON] = {
                "schema": _one_of(asked),
                **self._json_examples(signatures[names[0]], names[0], is_implied),
            }
        main = signatures[names[0]]
        facts = VersionFacts(main, self._version.task)
        if is_implied[names[0]]:
            content |= {name.decode(): _media(name) for name in read.taken(facts)}
        body = {"required": True, "description": _body_text(facts, has_media=is_implied[names[0]]), "content": content}
        return {
            "requestBody": document.body(key, body),
            "responses": {"200": document.answer(key, _predictions(answered)), **document.errors(*_REFUSALS)},
        }

    def _json_examples(self, signature: ModelSignature, name: str, is_implied: dict[str, bool]) -> dict[str, Any]:
        if not tensors.is_short(signature):
            return {}
        named = {} if is_implied[name] else {"signature_name": name}
        examples: dict[str, Any] = {}
        if self._version.samples and is_implied[name] and name == DEFAULT_SIGNATURE:
            value = {**named, "instances": list(self._version.samples[:1])}
            examples["sample"] = {"summary": "A row that came with the model", "value": value}
        if tensors.has_rows(signature.inputs):
            value = {**named, "instances": tensors.example_rows(signature)}
            examples["rows"] = {"summary": "Rows of zeros", "value": value}
        value = {**named, "inputs": tensors.example_columns(signature)}
        examples["columns"] = {"summary": "Columns of zeros", "value": value}
        return {"examples": examples}

    # classify and regress

    def _examples(self, verb: str, names: list[str]) -> dict[str, Any]:
        document = self._document
        label_and_score = {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "minItems": 2}
        result = {"type": "array", "items": label_and_score} if verb == "classify" else {"type": "number"}
        body = {
            "required": True,
            "content": {JSON: {"schema": document.schema(f"{self._key}.{verb}", _example_request(names))}},
        }
        results = json_answer("A result for each example.", objects({"results": {"type": "array", "items": result}}))
        return {
            "requestBody": document.body(f"{self._key}.{verb}", body),
            "responses": {"200": results, **document.errors(*_REFUSALS)},
        }


def request(name: str, signature: ModelSignature, *, is_implied: bool) -> dict[str, Any]:
    """A request of the row or of the column format.

    Args:
        is_implied: whether the signature is meant where none is named.
    """
    outputs = [tensor.name for tensor in signature.outputs]
    shared = {
        "signature_name": {"const": name},
        "output_filter": {
            "type": "array",
            "description": "Answer with these outputs only; all if it is not given. TensorFlow Serving's REST has no such thing.",
            "items": {"enum": outputs} if outputs else {},
            "uniqueItems": True,
        },
    }
    named = [] if is_implied else ["signature_name"]
    columns = {
        **objects({"inputs": _columns(signature), **shared}, required=["inputs", *named]),
        "title": "Columns",
        "not": {"required": ["instances"]},
    }
    if not tensors.has_rows(signature.inputs):
        return columns
    rows = {
        **objects({"instances": _rows(signature), **shared}, required=["instances", *named]),
        "title": "Rows",
        "not": {"required": ["inputs"]},
    }
    return {"oneOf": [rows, columns]}


def _rows(signature: ModelSignature) -> dict[str, Any]:
    """Objects of all inputs, or of a single one its values; never one and the other."""
    named = _list(_closed({tensor.name: tensors.row(tensor) for tensor in signature.inputs}), signature)
    if len(signature.inputs) != 1:
        return named
    return {"anyOf": [_list(tensors.row(signature.inputs[0]), signature), named]}


def _list(row: dict[str, Any], signature: ModelSignature) -> dict[str, Any]:
    sizes = {tensor.shape[0] for tensor in signature.inputs if tensor.shape}
    size = sizes.pop() if len(sizes) == 1 else None
    limits = {"minItems": 1} if size is None else {"minItems": size, "maxItems": size}
    return {"type": "array", **limits, "items": row}


def _columns(signature: ModelSignature) -> dict[str, Any]:
    columns = objects({tensor.name: tensors.whole(tensor) for tensor in signature.inputs})
    return {"anyOf": [tensors.whole(signature.inputs[0]), columns]} if len(signature.inputs) == 1 else columns


def answer(signature: ModelSignature) -> dict[str, Any]:
    """Predictions by row, or outputs by column. With `output_filter` outputs may be left out."""
    outputs = signature.outputs
    whole = {tensor.name: tensors.whole(tensor) for tensor in outputs}
    columns = {**objects({"outputs": _one_or_all(whole)}), "title": "Columns"}
    if not tensors.has_rows(outputs):
        return columns
    row = _one_or_all({tensor.name: tensors.row(tensor) for tensor in outputs})
    rows = {**objects({"predictions": {"type": "array", "items": row}}), "title": "Rows"}
    return {"oneOf": [rows, columns]}


def _one_or_all(values: dict[str, Any]) -> Any:
    """One output stands for itself, several under their names."""
    if len(values) == 1:
        return next(iter(values.values()))
    return {"anyOf": [{"type": "object", "properties": values, "additionalProperties": False}, *values.values()]}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {**objects(properties), "additionalProperties": False}


def _one_of(schemas: list[dict[str, str]]) -> dict[str, Any]:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _media(name: bytes) -> dict[str, Any]:
    if name == read.FORM:
        files = {"type": "array", "items": {"type": "string", "contentMediaType": "image/*"}, "minItems": 1}
        return {
            "schema": objects({"image": files}),
            "encoding": {"image": {"contentType": "image/png, image/jpeg, image/webp"}},
        }
    return {"schema": {"type": "string"}} if name == b"text/csv" else dict(_BINARY)


def _body_text(facts: VersionFacts, *, has_media: bool) -> str:
    shapes = ", ".join(f"`{tensor.name}` {tensor.dtype} {tensor.shape_text()}" for tensor in facts.signature.inputs)
    text = f"Takes {shapes or 'no input'}. JSON in rows (`instances`) or columns (`inputs`)."
    if has_media and images.takes(facts):
        text += " A picture is turned upright and scaled to the model's size; several go as multipart/form-data, a row each."
    return text


def _predictions(answered: list[dict[str, str]]) -> dict[str, Any]:
    header = {"description": "The version that answered.", "required": True, "schema": {"type": "string"}}
    return {
        "description": "The model's answer. `Accept` chooses its media type.",
        "headers": {"X-Skylift-Model-Version": header},
        "content": {
            JSON: {"schema": _one_of(answered)},
            "application/x-npy": dict(_BINARY),
            "application/x-npz": dict(_BINARY),
            "text/csv": {"schema": {"type": "string"}},
        },
    }


def _example_request(names: list[str]) -> dict[str, Any]:
    value = {"anyOf": [{"type": ["number", "string", "boolean"]}, {"$ref": "#/components/schemas/Base64"}]}
    features = {
        "type": "object",
        "description": "Features by name, each a value or a list of values of one type.",
        "additionalProperties": {"anyOf": [value, {"type": "array", "items": value}]},
    }
    properties = {
        "signature_name": {"enum": names},
        "context": {**features, "description": "Features that all examples share."},
        "examples": {"type": "array", "minItems": 1, "items": features},
    }
    is_implied = DEFAULT_SIGNATURE in names
    return objects(properties, required=["examples"] if is_implied else ["examples", "signature_name"])
