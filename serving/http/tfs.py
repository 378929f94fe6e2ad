"""TensorFlow Serving's REST: predict, model status, metadata. Status codes, bodies and the order of checks are the original's.

What is ours beside it: `X-Skylift-Model-Version` and `X-Skylift-Deployment` on every answer of a model, and the codes `no_deployment`,
`starting` and `queue_full`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from serving.backends.base import RunError
from serving.batching.batcher import Job, Outcome, QueueFullError
from serving.http import describe, json_fast, json_in, json_out
from serving.http.json_in import BadRequestError, Decoded
from serving.http.messages import Exchange, Response, error
from serving.models import Loaded, Models, Served
from serving.signature import DEFAULT_SIGNATURE, ModelSignature

_TARGET = r"/v1/models(?:/(?P<name>[^/:]+))?(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(_TARGET + r":(?P<verb>classify|regress|predict)", re.IGNORECASE | re.ASCII)
_GET = re.compile(_TARGET + r"(?P<metadata>/metadata)?", re.IGNORECASE | re.ASCII)
_GREATEST_VERSION = 2**63 - 1


@dataclass(slots=True, frozen=True)
class Target:
    """Which model a path names."""

    name: str
    version: int | None
    label: str | None


class Rest:
    """The routes under /v1/."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._fast: tuple[Loaded, json_fast.FastDecoder | None] | None = None

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
        match = _POST.fullmatch(path)
        if match is None or match["name"] is None or match["verb"] not in ("predict", "classify", "regress"):
            exchange.respond(_malformed(b"POST", path))
            return
        target = _target(match)
        if target is None:
            exchange.respond(Response(400))
        elif self._models.serving is None:
            exchange.respond(self._nothing_serves())
        elif match["verb"] != "predict":
            exchange.respond(error(501, f"{match['verb']} is not implemented; use predict"))
        else:
            self._predict(exchange, target)

    def _nothing_serves(self) -> Response:
        if self._models.readiness == "starting":
            return error(503, "starting: the model is being loaded", code="starting", extra=b"Retry-After: 1\r\n")
        return error(
            503,
            f"no_deployment: endpoint {self._models.endpoint!r} has no deployment yet; `skylift deploy` makes one",
            code="no_deployment",
        )

    # predict

    def _predict(self, exchange: Exchange, target: Target) -> None:
        served = self._models.serving
        assert served is not None
        body = exchange.request.body
        try:
            decoded = self._decode_fast(served, target, body) or self._decode_exactly(served, target, body)
            job = _job(served, decoded)
        except BadRequestError as refused:
            exchange.respond(error(refused.status, str(refused), extra=served.headers if refused.is_found else b""))
            return
        row_format = decoded.is_row_format
        job.done = lambda outcome: exchange.respond(_answer(served, outcome, is_row_format=row_format))
        batcher = served.loaded.batcher
        try:
            batcher.submit(job)
        except QueueFullError:
            message = f"queue_full: {batcher.waiting_rows} rows wait already; try again"
            exchange.respond(error(429, message, code="queue_full", extra=b"Retry-After: 1\r\n" + served.headers))
            return
        exchange.on_abandon = lambda: batcher.cancel(job)

    def _decode_fast(self, served: Served, target: Target, body: bytes) -> Decoded | None:
        if target.name != served.model.name or target.label is not None:
            return None
        if target.version is not None and target.version != served.model.version:
            return None
        if self._fast is None or self._fast[0] is not served.loaded:
            self._fast = (served.loaded, json_fast.decoder(served.loaded.backend.signatures[DEFAULT_SIGNATURE]))
        fast = self._fast[1]
        return fast.decode(body) if fast is not None else None

    def _decode_exactly(self, served: Served, target: Target, body: bytes) -> Decoded:
        document = json_in.parse(body)
        name = json_in.signature_name(document)
        self._check_target(served, target)
        signatures = served.loaded.backend.signatures
        signature = signatures.get(name or DEFAULT_SIGNATURE)
        if signature is None:
            raise BadRequestError(f'Serving signature name: "{name}" not found in signature def')
        return json_in.decode(document, name or DEFAULT_SIGNATURE, signature)

    def _check_target(self, served: Served, target: Target) -> None:
        if target.label is not None and target.name == served.model.name:
            raise BadRequestError(f"Unrecognized servable version label: {target.label}", is_found=False)
        is_version = target.version is None or target.version == served.model.version
        if target.name == served.model.name and is_version:
            return
        what = f"Latest({target.name})" if target.version is None else f"Specific({target.name}, {target.version})"
        raise BadRequestError(f"Servable not found for request: {what}", status=404, is_found=False)

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
        served = self._models.serving
        if served is None:
            return self._nothing_serves()
        try:
            self._check_target(served, target)
        except BadRequestError as refused:
            return error(refused.status, str(refused))
        return describe.metadata(served)


def _target(match: re.Match[str]) -> Target | None:
    """None where the version is no int64: the original answers that with an empty 400."""
    version = int(match["version"]) if match["version"] and len(match["version"]) < 40 else None
    if match["version"] and (version is None or version > _GREATEST_VERSION):
        return None
    label = unquote(match["label"]) if match["label"] else None
    return Target(unquote(match["name"]), version, label)


def _malformed(method: bytes, path: str) -> Response:
    return error(400, f"Malformed request: {method.decode('latin-1')} {path}")


def _job(served: Served, decoded: Decoded) -> Job:
    """The work for a decoded request.

    Raises:
        BadRequestError: a shape that the model does not take.
    """
    signature: ModelSignature = served.loaded.backend.signatures[decoded.signature]
    for tensor in signature.inputs:
        shape = decoded.inputs[tensor.name].shape
        if not tensor.accepts(shape):
            given = "[" + ",".join(map(str, shape)) + "]"
            raise BadRequestError(f'input "{tensor.name}" has shape {given}, the model takes {tensor.shape_text()}')
    sizes = {value.shape[0] if value.ndim else None for value in decoded.inputs.values()}
    rows = sizes.pop() if len(sizes) == 1 else None
    key = None
    if rows:
        shapes = tuple((name, decoded.inputs[name].shape[1:]) for name in sorted(decoded.inputs))
        key = (decoded.signature, shapes)
    return Job(decoded.signature, decoded.inputs, rows or 1, key, _nobody)


def _nobody(outcome: Outcome) -> None:
    raise AssertionError("a job was computed before anybody waited for it")


def _answer(served: Served, outcome: Outcome, *, is_row_format: bool) -> Response:
    if isinstance(outcome, RunError):
        return error(400 if outcome.is_callers_fault else 500, outcome.message, extra=served.headers)
    try:
        body = json_out.rows(outcome) if is_row_format else json_out.columns(outcome)
    except BadRequestError as refused:
        return error(refused.status, str(refused), extra=served.headers)
    return Response(200, body, served.headers)
