"""The whole document, and keeping it until what is served changes."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from serving.media import images
from serving.media.facts import VersionFacts
from serving.openapi import tfs, v2
from serving.openapi.facts import Contract, ServedVersion, ServerFacts
from serving.openapi.parts import Document, json_answer
from serving.signature import ModelSignature, Tensor

CONTENT_TYPE = b"application/json"
_SECURITY = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "token": {"type": "http", "scheme": "bearer"},
}
_OPEN = "The server itself"


def build(facts: ServerFacts) -> bytes:
    """OpenAPI 3.1 as JSON: 1 ms and 20 to 60 KB a version, so that many belong into a thread."""
    document = Document(is_guarded=facts.is_guarded)
    for version in facts.versions:
        if facts.has_tfs:
            tfs.add(document, version)
        if facts.has_v2:
            v2.add(document, version)
    if facts.has_v2:
        v2.add_server(document, can_manage=facts.can_manage)
    _add_health(document, facts)
    for contract in facts.contracts:
        _add_contract(document, contract, facts)
    components: dict[str, Any] = {
        "schemas": document.schemas,
        "requestBodies": document.bodies,
        "responses": document.answers,
    }
    plain: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Skylift",
            "version": facts.server_version,
            "description": "Predictions of the models that this server has loaded, made from their signatures.",
        },
        "servers": [{"url": "/"}],
        "paths": document.paths,
        "components": components,
        "x-skylift": {"isGuarded": facts.is_guarded, "models": [_shown(one, facts) for one in facts.versions]},
    }
    if facts.is_guarded:
        components["securitySchemes"] = _SECURITY
        plain["security"] = [{"key": []}, {"token": []}]
    return msgspec.json.encode(plain)


@dataclass(frozen=True)
class Built:
    """The document as it is sent. `etag` is a whole header value."""

    body: bytes
    gzip: bytes
    etag: bytes


class Kept:
    """The document of what is served now; made when it is first asked for after a change."""

    def __init__(self) -> None:
        self._serial: object = None
        self._built: Built | None = None

    def get(self, serial: object, facts: Callable[[], ServerFacts]) -> Built:
        """
        Args:
            serial: another than before where what is served has changed.
        """
        if self._built is None or serial != self._serial:
            body = build(facts())
            packer = zlib.compressobj(6, zlib.DEFLATED, 31)
            etag = b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode()
            self._built = Built(body, packer.compress(body) + packer.flush(), etag)
            self._serial = serial
        return self._built


def _add_health(document: Document, facts: ServerFacts) -> None:
    about = {"tags": [_OPEN]}
    fine = json_answer("Yes.", {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]})
    not_ready = {"503": {"$ref": "#/components/responses/503"}}
    document.add(
        "/healthz", "get", "healthz", {**about, "summary": "Is it there", "responses": {"200": fine}}, is_open=True
    )
    ready = {"200": fine, **not_ready}
    document.add(
        "/readyz", "get", "readyz", {**about, "summary": "Is it ready for requests", "responses": ready}, is_open=True
    )
    if not facts.has_metrics:
        return
    metrics = {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    for path in ("/metrics", "/monitoring/prometheus/metrics"):
        answers = {"200": metrics, **document.errors()}
        document.add(path, "get", f"metrics_{path}", {**about, "summary": "Metrics", "responses": answers})


def _add_contract(document: Document, contract: Contract, facts: ServerFacts) -> None:
    """A service's own path to what stands under another path already."""
    about = {"tags": [contract.service]}
    if contract.api == "health":
        answers = {"200": {"description": "Healthy."}, "503": {"$ref": "#/components/responses/503"}}
        plain = {**about, "summary": f"Health, as {contract.service} asks for it", "responses": answers}
        document.add(contract.path, "get", f"health_{contract.path}", plain, is_open=True)
        return
    number = next((one.version for one in facts.versions if one.name == contract.model and one.is_default), -1)
    prediction = document.predictions.get((contract.model, number))
    if prediction is None:
        return
    plain = {**about, "summary": f"Predict, as {contract.service} asks for it", **prediction}
    document.add(contract.path, "post", f"predict_{contract.path}", plain)


# What the page shows


def _shown(version: ServedVersion, facts: ServerFacts) -> dict[str, Any]:
    main = version.main_signature
    signature = version.signatures[main] if main is not None else ModelSignature((), ())
    task = version.task
    return {
        "name": version.name,
        "version": version.version,
        "labels": list(version.labels),
        "isDefault": version.is_default,
        "hasTfs": facts.has_tfs,
        "hasV2": facts.has_v2,
        "signature": main,
        "inputs": [_tensor(one) for one in signature.inputs],
        "outputs": [_tensor(one) for one in signature.outputs],
        "signatures": sorted(version.signatures),
        "task": {
            "kind": task.kind,
            "labels": task.labels,
            "unit": task.unit,
            "input": task.input_kind,
            "columns": task.input_names,
        },
        "darkBackground": task.dark_background,
        "takesPictures": main is not None and images.takes(VersionFacts(signature, task)),
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": tensor.dtype, "shape": tensor.shape, "text": tensor.shape_text()}
