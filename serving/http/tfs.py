"""TensorFlow Serving's REST: predict, classify, regress, model status, metadata. Status codes, bodies and the order of checks are the
original's.

What is ours beside it: `:explain`, an output filter, `X-Skylift-Model-Version` and `X-Skylift-Deployment` on every answer of a model,
and the codes `no_deployment`, `starting` and `queue_full`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from serving.backends.base import Array
from serving.http import describe, json_fast, json_in, json_out, tfs_examples
from serving.http.desk import QUICK_BYTES, Desk
from serving.http.json_in import BadRequestError, Decoded
from serving.http.messages import LONGEST_KEPT, Exchange, Response, error
from serving.http.status import refusal
from serving.interface import StatusError
from serving.media import read as media_in
from serving.media import write as media_out
from serving.media.facts import VersionFacts
from serving.models import Models, Version
from serving.signature import DEFAULT_SIGNATURE, EXPLAIN_SIGNATURE
from skylift.artifacts.records import TaskInfo

_TARGET = r"/v1/models(?:/(?P<name>[^/:]+))?(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(_TARGET + r":(?P<verb>classify|regress|predict|explain)", re.IGNORECASE | re.ASCII)
_GET = re.compile(_TARGET + r"(?P<metadata>/metadata)?", re.IGNORECASE | re.ASCII)
_VERBS = ("predict", "classify", "regress", "explain")
_GREATEST_VERSION = 2**63 - 1


@dataclass(slots=True, frozen=True)
class Target:
    """Which model a path names."""

    name: str
    version: int | None
    label: str | None


class Rest:
    """The routes under /v1/."""

    def __init__(self, models: Models, desk: Desk) -> None:
        self._models = models
        self._desk = desk

    def handle(self, exchange: Exchange, path: str) -> None:
        method = exchange.request.method
        if method == b"POST":
            self._post(exchange, path)
        elif method in (b"GET", b"HEAD"):
            exchange.respond(self._get(path, method))
        elif method == b"OPTIONS":
            origin = exchange.request.headers.get(b"origin", b"")
            exchange.respond(Response(200 if origin.startswith((b"http://", b"https://")) else 400))
        else:
            exchange.respond(_malformed(method, path))

    def _post(self, exchange: Exchange, path: str) -> None:
        asked = _asked_of(path) if len(path) <= LONGEST_KEPT else _asked(path)
        if asked is None:
            exchange.respond(_malformed(b"POST", path))
            return
        verb, target = asked
        if target is None:
            exchange.respond(Response(400))
        elif verb == "classify":
            self._examine(exchange, target, "classify")
        elif verb == "regress":
            self._examine(exchange, target, "regress")
        else:
            self.predict(exchange, target, explains=verb == "explain")

    # predict

    def predict(self, exchange: Exchange, target: Target, *, explains: bool = False) -> None:
        """Answer a body of TensorFlow Serving's form with what `target` names: a prediction, or (ours) what it goes by."""
        self._desk.begin(exchange, "tfs-rest", "explain" if explains else "predict")
        found: Version | StatusError
        try:
            found = self._desk.resolve(exchange, target.name, target.version, target.label)
        except StatusError as problem:
            found = problem
            if problem.reason:  # nothing is served at all: not worth a look at the body
                self._desk.refuse(exchange, problem)
                return
        version = found if isinstance(found, Version) else None
        name = EXPLAIN_SIGNATURE if explains else DEFAULT_SIGNATURE
        request = exchange.request
        content_type = request.headers.get(b"content-type", b"")
        try:
            if version is not None and name in version.signatures:
                self._desk.admit(version, name)
            is_media = version is not None and media_in.is_ours(content_type, request.body)
            form = media_out.form(
                request.headers.get(b"accept", b""), _usual(content_type) if is_media else media_out.JSON
            )
        except (StatusError, BadRequestError) as problem:
            self._desk.refuse(exchange, problem, version)
            return
        body = request.body

        if not (media_in.is_slow(content_type, body) if is_media else len(body) > QUICK_BYTES):
            try:
                decoded = _decode(found, body, name, content_type, is_media=is_media)
                assert version is not None
                self._submit(exchange, version, decoded, form)
            except (StatusError, BadRequestError) as problem:
                self._desk.refuse(exchange, problem, version)
            return

        def decode() -> Decoded:
            return _decode(found, body, name, content_type, is_media=is_media, lane="json-slow")

        def submit(decoded: Decoded) -> None:
            assert version is not None
            self._submit(exchange, version, decoded, form)

        self._desk.read_slowly(exchange, decode, submit, version)

    def _submit(self, exchange: Exchange, version: Version, decoded: Decoded, form: media_out.Form) -> None:
        write = json_out.rows if decoded.is_row_format else json_out.columns
        wanted = decoded.outputs
        if not form.is_json:
            names = wanted or [tensor.name for tensor in version.signatures[decoded.signature].outputs]
            media_out.check(form, names)

        def finish(outputs: Mapping[str, Array]) -> Response:
            chosen = {name: outputs[name] for name in wanted} if wanted else outputs
            if form.is_json:
                return Response(200, write(chosen), version.headers)
            content_type, body = media_out.encode(form, chosen)
            return Response(200, body, version.headers, content_type)

        self._desk.submit(exchange, version, decoded.signature, decoded.inputs, finish, outputs=wanted)

    # classify and regress

    def _examine(self, exchange: Exchange, target: Target, verb: tfs_examples.Verb) -> None:
        self._desk.begin(exchange, "tfs-rest", verb)
        version: Version | None = None
        try:
            request = tfs_examples.decode(exchange.request.body)
            version = self._desk.resolve(exchange, target.name, target.version, target.label)
            _, inputs = tfs_examples.inputs(version, request, verb)
            rows, headers = len(request.examples), version.headers

            def finish(outputs: Mapping[str, Array]) -> Response:
                return Response(200, tfs_examples.encode(outputs, rows, verb), headers)

            self._desk.submit(exchange, version, request.signature, inputs, finish)
        except (StatusError, BadRequestError) as problem:
            self._desk.refuse(exchange, problem, version)

    # status and metadata

    def _get(self, path: str, method: bytes) -> Response:
        match = _GET.fullmatch(path)
        if match is None:
            return _malformed(method, path)
        if match["name"] is None:
            return error(400, "Missing model name in request.")
        target = _target(match)
        if target is None:
            return Response(400)
        if match["metadata"]:
            return self._metadata(target)
        return describe.status(self._models, target.name, target.version)

    def _metadata(self, target: Target) -> Response:
        try:
            return describe.metadata(self._models.resolve(target.name, target.version, target.label))
        except StatusError as problem:
            return refusal(problem)


def _decode(
    found: Version | StatusError,
    body: bytes,
    name: str,
    content_type: bytes,
    *,
    is_media: bool,
    lane: str = "json",
) -> Decoded:
    if isinstance(found, Version):
        if is_media:
            return _decode_media(found, content_type, bytes(body), name)
        fast = _decode_fast(found, body, name, lane)
        if fast is not None:
            return fast
    return _decode_exactly(found, body, name)


def _decode_fast(version: Version, body: bytes, name: str, lane: str) -> Decoded | None:
    if name not in version.signatures:
        return None
    fast = version.loaded.codec(lane, name, json_fast.decoder)
    decoded = fast.decode(body) if fast is not None else None
    if decoded is not None and name != DEFAULT_SIGNATURE:
        return Decoded(name, decoded.inputs, decoded.is_row_format)
    return decoded


def _decode_media(version: Version, content_type: bytes, body: bytes, name: str) -> Decoded:
    if name not in version.signatures:
        raise _lacking(version, name)
    manifest = version.loaded.manifest
    task = manifest.task if manifest is not None else TaskInfo()
    facts = version.loaded.codec("media", name, lambda signature: VersionFacts(signature, task))
    return Decoded(name, media_in.decode(content_type, body, facts), is_row_format=True)


def _usual(content_type: bytes) -> bytes:
    """How a body in another form than JSON is answered where the client has no wish: in the same form if there is such an answer."""
    name = content_type.partition(b";")[0].strip().lower()
    return name if name in media_out.TYPES else media_out.JSON


def _lacking(version: Version, name: str) -> BadRequestError:
    if name == EXPLAIN_SIGNATURE:
        hint = "train it with `skylift train --explain`"
        return BadRequestError(f"model {version.name!r} has no signature {name!r}, so it cannot explain itself; {hint}")
    return BadRequestError(f'Serving signature name: "{name}" not found in signature def')


def _decode_exactly(found: Version | StatusError, body: bytes, usual: str) -> Decoded:
    document = json_in.parse(body)
    name = json_in.signature_name(document) or usual
    if isinstance(found, StatusError):
        raise found
    signature = found.signatures.get(name)
    if signature is None:
        raise _lacking(found, name)
    return json_in.decode(document, name, signature)


def _asked(path: str) -> tuple[str, Target | None] | None:
    """The verb and what it is asked of; None for a path that is none of ours."""
    match = _POST.fullmatch(path)
    if match is None or match["name"] is None or match["verb"] not in _VERBS:
        return None
    return match["verb"], _target(match)


_asked_of = lru_cache(maxsize=1024)(_asked)


def _target(match: re.Match[str]) -> Target | None:
    """None where the version is no int64: the original answers that with an empty 400."""
    version = int(match["version"]) if match["version"] and len(match["version"]) < 40 else None
    if match["version"] and (version is None or version > _GREATEST_VERSION):
        return None
    label = unquote(match["label"]) if match["label"] else None
    return Target(unquote(match["name"]), version, label)


def _malformed(method: bytes, path: str) -> Response:
    return error(400, f"Malformed request: {method.decode('latin-1')} {path}")
