"""The Open Inference Protocol's REST, with the extensions for binary tensors, the repository and statistics.

https://github.com/kserve/open-inference-protocol and, for the extensions, Triton's protocol documents.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from urllib.parse import unquote

import msgspec

from serving.backends.base import Array
from serving.http import v2_describe
from serving.http.desk import QUICK_BYTES, Desk
from serving.http.json_in import BadRequestError
from serving.http.messages import LONGEST_KEPT, Exchange, Response, encode_text, error
from serving.http.status import refusal
from serving.http.v2_request import Decoder, InferRequest
from serving.http.v2_response import Encoder
from serving.interface import Code, Duration, Statistics, StatusError
from serving.models import Models, Version
from serving.signature import DEFAULT_SIGNATURE
from serving.watch.request_ids import sane

_MODEL = re.compile(
    r"/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<verb>/infer|/ready|/stats)?", re.ASCII
)
_REPOSITORY = re.compile(r"/v2/repository/(?:index|models/(?P<name>[^/]+)/(?P<verb>load|unload))", re.ASCII)
_LENGTH = b"inference-header-content-length"
_STATES = {"AVAILABLE": "READY", "LOADING": "LOADING", "UNLOADING": "UNLOADING"}


class OpenInference:
    """The routes under /v2."""

    def __init__(self, models: Models, desk: Desk) -> None:
        self._models = models
        self._desk = desk
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, exchange: Exchange, path: str) -> None:
        asked = _asked_of(path)
        if asked is not None:
            self._infer(exchange, *asked)
            return
        match = _MODEL.fullmatch(path)
        if match is not None and path != "/v2/models/stats":
            self._get(exchange, path, lambda: self._about(match))
            return
        repository = _REPOSITORY.fullmatch(path)
        if repository is not None:
            self._repository(exchange, path, repository)
            return
        answer = self._fixed().get(path.rstrip("/"))
        if answer is None:
            exchange.respond(error(404, f"there is nothing at {path}"))
        else:
            self._get(exchange, path, answer)

    def _fixed(self) -> Mapping[str, Callable[[], Response]]:
        models = self._models
        return {
            "/v2": lambda: v2_describe.server(models.server_version),
            "/v2/health/live": v2_describe.live,
            "/v2/health/ready": lambda: v2_describe.server_ready(is_ready=models.is_ready),
            "/v2/models/stats": lambda: _statistics(models, "", None),
        }

    def _get(self, exchange: Exchange, path: str, answer: Callable[[], Response]) -> None:
        if exchange.request.method not in (b"GET", b"HEAD"):
            exchange.respond(error(405, f"{path} answers GET", extra=b"Allow: GET, HEAD\r\n"))
            return
        try:
            exchange.respond(answer())
        except StatusError as problem:
            exchange.respond(refusal(problem))

    # infer

    def _infer(self, exchange: Exchange, name: str, number: str | None) -> None:
        request = exchange.request
        if request.method != b"POST":
            exchange.respond(error(405, f"{request.path} answers POST", extra=b"Allow: POST\r\n"))
            return
        self._desk.begin(exchange, "v2-rest", "infer")
        version: Version | None = None
        body, length = request.body, request.headers.get(_LENGTH)
        try:
            version = self._desk.resolve(exchange, name, _number(number))
            signature = _only_signature(version)
            # Binary tensors are read sooner than it is asked; but where most requests are refused, that is the cheaper answer.
            if length is None or version.loaded.batcher_of(signature).is_overloaded:
                self._desk.admit(version, signature)
        except StatusError as problem:
            self._desk.refuse(exchange, problem, version)
            return
        # Binary tensors are views of the body: they are read in no time, however great.
        if length is not None or len(body) <= QUICK_BYTES:
            try:
                decoder = version.loaded.codec("v2", signature, Decoder)
                self._submit(exchange, version, signature, decoder.decode(body, length))
            except (StatusError, BadRequestError) as problem:
                self._desk.refuse(exchange, problem, version)
            return
        found = version

        def decode() -> InferRequest:
            return found.loaded.codec("v2-slow", signature, Decoder).decode(body, length)

        def submit(asked: InferRequest) -> None:
            self._submit(exchange, found, signature, asked)

        self._desk.read_slowly(exchange, decode, submit, version)

    def _submit(self, exchange: Exchange, version: Version, signature: str, asked: InferRequest) -> None:
        if asked.id and exchange.call is not None:
            exchange.call.request_id = sane(asked.id) or exchange.call.request_id
        encoder = version.made("v2", lambda one: Encoder(one.name, one.version, one.headers))

        def finish(outputs: Mapping[str, Array]) -> Response:
            return encoder.encode(asked, outputs)

        self._desk.submit(
            exchange,
            version,
            signature,
            asked.inputs,
            finish,
            timeout=_seconds(asked.parameters.get("timeout")) if asked.parameters else None,
            outputs=[wanted.name for wanted in asked.outputs],
        )

    # descriptions

    def _about(self, match: re.Match[str]) -> Response:
        name, number = unquote(match["name"]), _number(match["version"])
        if match["verb"] == "/stats":
            return _statistics(self._models, name, number)
        if match["verb"] == "/ready":
            return self._ready(name, number)
        version = self._models.resolve(name, number)
        numbers = sorted(self._models.versions(name)) if number is None else [version.version]
        signature = version.signatures[_only_signature(version)]
        return v2_describe.model(name, numbers, version.platform, signature, version.headers)

    def _ready(self, name: str, number: int | None) -> Response:
        try:
            version = self._models.resolve(name, number)
        except StatusError as problem:
            if any(number in (None, one.version) for one in self._models.statuses(name)):
                return v2_describe.model_ready(name, is_ready=False)
            raise problem
        return v2_describe.model_ready(name, is_ready=self._models.is_ready, headers=version.headers)

    # the repository

    def _repository(self, exchange: Exchange, path: str, match: re.Match[str]) -> None:
        if exchange.request.method != b"POST":
            exchange.respond(error(405, f"{path} answers POST", extra=b"Allow: POST\r\n"))
            return
        try:
            plain = _document(exchange.request.body)
            if match["verb"] is None:
                exchange.respond(self._index(plain))
                return
            if plain.get("parameters"):
                raise StatusError(
                    Code.INVALID_ARGUMENT, "parameters are not supported: a model is loaded as its files say"
                )
        except StatusError as problem:
            exchange.respond(refusal(problem))
            return
        change = self._models.load if match["verb"] == "load" else self._models.unload
        self._later(exchange, change(unquote(match["name"])))

    def _later(self, exchange: Exchange, change: Awaitable[None]) -> None:
        async def run() -> None:
            try:
                await change
            except StatusError as problem:
                exchange.respond(refusal(problem))
            else:
                exchange.respond(Response(200, b"{}"))

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _index(self, plain: Mapping[str, object]) -> Response:
        only_ready = plain.get("ready", False)
        if not isinstance(only_ready, bool):
            raise StatusError(Code.INVALID_ARGUMENT, '"ready" must be true or false')
        found = []
        for name in self._models.names():
            for one in self._models.statuses(name):
                state = _STATES.get(one.state, "UNAVAILABLE")
                if state == "READY" or not only_ready:
                    found.append({"name": name, "version": str(one.version), "state": state, "reason": one.message})
        return Response(200, encode_text(found))


@lru_cache(maxsize=1024)
def _asked_of(path: str) -> tuple[str, str | None] | None:
    """The model and the version, as it is written, that a path for inference names; None for other paths."""
    match = _MODEL.fullmatch(path) if len(path) <= LONGEST_KEPT else None
    if match is None or match["verb"] != "/infer":
        return None
    return unquote(match["name"]), match["version"]


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise StatusError(Code.INVALID_ARGUMENT, f"version '{unquote(text)[:40]}' is no integer")
    return int(text)


def _only_signature(version: Version) -> str:
    """The protocol knows one signature of a model."""
    if DEFAULT_SIGNATURE in version.signatures:
        return DEFAULT_SIGNATURE
    if len(version.signatures) == 1:
        return next(iter(version.signatures))
    names = ", ".join(sorted(version.signatures)) or "none"
    raise StatusError(
        Code.INVALID_ARGUMENT, f"model {version.name!r} has no signature {DEFAULT_SIGNATURE!r}; it has {names}"
    )


def _seconds(microseconds: object) -> float | None:
    """Triton's request parameter `timeout` [µs]; 0 is none."""
    if type(microseconds) is not int or microseconds <= 0:
        return None
    return microseconds / 1e6


def _document(body: bytes) -> dict[str, object]:
    if not body.strip():
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise StatusError(Code.INVALID_ARGUMENT, f"the body must be a JSON object: {problem}") from None


def _statistics(models: Models, name: str, version: int | None) -> Response:
    told = [_statistic(one) for one in models.statistics(name, version)]
    return Response(200, encode_text({"model_stats": told}))


def _statistic(one: Statistics) -> dict[str, object]:
    return {
        "name": one.name,
        "version": str(one.version),
        "last_inference": one.last_inference,
        "inference_count": one.rows,
        "execution_count": one.batches,
        "inference_stats": {
            "success": _duration(one.success),
            "fail": _duration(one.fail),
            "queue": _duration(one.queue),
            "compute_input": _duration(one.parse),
            "compute_infer": _duration(one.run),
            "compute_output": _duration(one.write),
        },
        "batch_stats": [{"batch_size": size.size, "compute_infer": _duration(size.run)} for size in one.by_batch_size],
    }


def _duration(one: Duration) -> dict[str, int]:
    return {"count": one.count, "ns": one.ns}
