"""What all parts of the document share: names that are allowed, errors, references."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

JSON = "application/json"
_ODD = re.compile(r"[^A-Za-z0-9._-]")

ERROR = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "What was wrong: the field, what was given, what is expected."},
        "code": {"type": "string", "description": "One word for programs, where the status alone does not tell."},
    },
    "required": ["error"],
}
_ERRORS = {
    "400": "The request is not what the model takes; the message says what is wrong and what is expected.",
    "401": "No key or token was sent, or one that is not known.",
    "403": "The key or token has no right to this.",
    "404": "There is no such model or version.",
    "406": "None of the media types that `Accept` names can be answered.",
    "413": "The body is longer than this server takes, or would be once it is decompressed.",
    "415": "This media type or content coding is not read for this model; `Accept` or `Accept-Encoding` name those that are.",
    "429": "Too many rows wait already, or this key asks too often; `Retry-After` says when to try again.",
    "500": "The model broke while it computed.",
    "501": "Not possible here: a type that JSON does not carry, or a change that this server does not allow.",
    "503": "Nothing is loaded that could answer, or no longer.",
    "504": "The answer was not there in time.",
}


class Document:
    """The document while it is put together."""

    def __init__(self, *, is_guarded: bool) -> None:
        self._is_guarded = is_guarded
        self.paths: dict[str, Any] = {}
        self.schemas: dict[str, Any] = {"Error": ERROR}
        self.bodies: dict[str, Any] = {}
        self.answers: dict[str, Any] = {status: _error(status, text) for status, text in _ERRORS.items()}
        self.predictions: dict[tuple[str, int], dict[str, Any]] = {}
        """Body and answer of each version's predictions, for other paths to the same."""
        self._operations: set[str] = set()

    def add(self, path: str, method: str, operation: str, plain: dict[str, Any], *, is_open: bool = False) -> None:
        """An operation. `operation` becomes its id, with a number behind it where it is taken."""
        plain = {"operationId": _unique(_ODD.sub("_", operation), self._operations), **plain}
        if is_open and self._is_guarded:
            plain["security"] = []
        self.paths.setdefault(path, {})[method] = plain

    def schema(self, name: str, plain: Any) -> dict[str, str]:
        """A reference to a schema of its own."""
        return _kept(self.schemas, "schemas", name, plain)

    def body(self, name: str, plain: Any) -> dict[str, str]:
        return _kept(self.bodies, "requestBodies", name, plain)

    def answer(self, name: str, plain: Any) -> dict[str, str]:
        return _kept(self.answers, "responses", name, plain)

    def errors(self, *statuses: int) -> dict[str, Any]:
        """References to the answers that refuse."""
        guarded = (401, 403, 429) if self._is_guarded else ()
        return {str(one): {"$ref": f"#/components/responses/{one}"} for one in sorted({*statuses, *guarded})}


def _kept(into: dict[str, Any], kind: str, name: str, plain: Any) -> dict[str, str]:
    key = _ODD.sub("_", name)
    while into.setdefault(key, plain) is not plain:
        key += "_"
    return {"$ref": f"#/components/{kind}/{key}"}


def _unique(name: str, taken: set[str]) -> str:
    number, unique = 1, name
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    taken.add(unique)
    return unique


def _error(status: str, text: str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": text,
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    if status in ("429", "503"):
        answer["headers"] = {
            "Retry-After": {"description": "seconds", "required": False, "schema": {"type": "integer", "minimum": 0}}
        }
    return answer


def in_path(name: str) -> str:
    """A name as a path has it: nothing that would end it, and no template."""
    return quote(name, safe="")


def json_answer(text: str, schema: Any) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": schema}}}


def objects(properties: dict[str, Any], *, required: list[str] | None = None) -> dict[str, Any]:
    """An object; all its properties are there unless `required` says otherwise."""
    names = list(properties) if required is None else required
    plain: dict[str, Any] = {"type": "object", "properties": properties}
    return {**plain, "required": names} if names else plain
