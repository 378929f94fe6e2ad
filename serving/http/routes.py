"""Which route answers what. Health is here; models are in `tfs` and `v2`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from serving.contracts.contracts import VERTEX, Contracts
from serving.http.about import OPENAPI, About
from serving.http.desk import QUICK_BYTES, Desk
from serving.http.json_in import BadRequestError
from serving.http.messages import Exchange, Response, error
from serving.http.rights import OPEN, asked
from serving.http.tfs import Rest
from serving.http.v2 import OpenInference
from serving.interface import StatusError
from serving.media import coding
from serving.models import Models
from serving.options import WorkerOptions

if TYPE_CHECKING:  # who keeps nobody out does without its imports
    from serving.guard.certificates import Peer
    from serving.guard.guard import Guard
    from skylift.artifacts.access import Verb

_HEALTH = {"/healthz", "/readyz"}
METRICS = {"/metrics", "/monitoring/prometheus/metrics"}
"""Ours, and the one of TensorFlow Serving; both on by default."""


class Routes:
    """Answers exchanges from what `models` has.

    Args:
        guard: who may ask; None where everybody may.
    """

    def __init__(
        self, models: Models, options: WorkerOptions, loop: asyncio.AbstractEventLoop, guard: Guard | None = None
    ) -> None:
        self._models = models
        self._loop = loop
        self._guard = guard
        self._body_bytes = options.limits.body_bytes
        self._metrics_paths = METRICS | {options.metrics_path} if options.metrics_path else METRICS
        self._cors = options.cors
        self.desk = Desk(models, loop, options.request_seconds)
        self._describing = About(models, is_guarded=guard is not None)
        self._rest = Rest(models, self.desk)
        self._v2 = OpenInference(models, self.desk)
        self._contracts = Contracts(models, self.desk, self._rest, self._v2, options)
        self._chosen = self._contracts.chosen
        self._tasks: set[asyncio.Task[None]] = set()

    def handle(self, exchange: Exchange) -> None:
        path = exchange.request.path
        if self._guard is None or path in OPEN or self._contracts.is_open(exchange.request.method, path):
            self._decode(exchange, path)
            return
        headers = exchange.request.headers
        model, verb = self._asked(exchange, path)
        try:
            principal = self._guard.check(
                headers, model=model, verb=verb, peer_certificate=_peer(exchange), now=time.monotonic()
            )
        except StatusError as problem:
            if problem.reason == "issuer_keys":
                self._wait_for_keys(exchange, path)
            else:
                self.desk.refuse(exchange, problem)
        else:
            exchange.principal = principal.name
            self._decode(exchange, path)

    def _asked(self, exchange: Exchange, path: str) -> tuple[str, Verb]:
        method = exchange.request.method
        return self._contracts.asked(method, path, exchange.request.headers) or asked(method, path)

    def _wait_for_keys(self, exchange: Exchange, path: str) -> None:
        """An issuer's keys are being fetched."""
        guard = self._guard
        assert guard is not None
        model, verb = self._asked(exchange, path)

        async def wait() -> None:
            headers = exchange.request.headers
            try:
                principal = await guard.admit(
                    headers, model=model, verb=verb, peer_certificate=_peer(exchange), now=time.monotonic()
                )
            except StatusError as problem:
                self.desk.refuse(exchange, problem)
            else:
                exchange.principal = principal.name
                self._decode(exchange, path)

        self._later(wait())

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # codings

    def _decode(self, exchange: Exchange, path: str) -> None:
        headers = exchange.request.headers
        if self._cors and b"origin" in headers:
            exchange.respond = _allowing(exchange.respond)
        accepted = headers.get(b"accept-encoding")
        if accepted is not None and coding.chosen(accepted) != "identity":
            exchange.respond = self._compressed(exchange.respond, accepted)
        header = headers.get(b"content-encoding")
        if header is None or not exchange.request.body:
            self._dispatch(exchange, path)
            return
        body = exchange.request.body
        try:
            plain = coding.quick(header, body, self._body_bytes)
        except BadRequestError as problem:
            self.desk.refuse(exchange, problem)
            return
        if plain is not None:
            exchange.request.body = plain
            self._dispatch(exchange, path)
            return

        def then(plain: bytes) -> None:
            exchange.request.body = plain
            self._dispatch(exchange, path)

        self.desk.read_slowly(exchange, lambda: coding.decode(header, body, self._body_bytes), then, None)

    def _compressed(self, respond: Callable[[Response], None], accepted: bytes) -> Callable[[Response], None]:
        def compress(response: Response) -> None:
            body, extra = coding.encode(response.body, response.content_type, accepted)
            response.body = body
            response.extra += extra
            respond(response)

        def answer(response: Response) -> None:
            if len(response.body) <= QUICK_BYTES or not coding.is_compressible(response.content_type):
                compress(response)
                return

            async def later() -> None:
                body, extra = await asyncio.to_thread(coding.encode, response.body, response.content_type, accepted)
                response.body = body
                response.extra += extra
                respond(response)

            self._later(later())

        return answer

    # dispatch

    def _dispatch(self, exchange: Exchange, path: str) -> None:
        start = path[:4]
        if self._chosen and path in self._chosen:
            self._contracts.handle(exchange, path)
        elif start == "/v2/" or path == "/v2":
            self._v2.handle(exchange, path)
        elif start.lower() == "/v1/":
            if not (path.startswith(VERTEX) and self._contracts.handle(exchange, path)):
                self._rest.handle(exchange, path)
        elif path == OPENAPI or (path == "/" and exchange.request.method in (b"GET", b"HEAD")):
            self._about(exchange, path)
        elif path in self._metrics_paths:
            self._metrics(exchange, path)
        elif path in _HEALTH:
            exchange.respond(self._health(exchange.request.method, path))
        elif not self._contracts.handle(exchange, path):
            exchange.respond(error(404, f"there is nothing at {path}"))

    def _about(self, exchange: Exchange, path: str) -> None:
        headers = exchange.request.headers
        if exchange.request.method not in (b"GET", b"HEAD"):
            exchange.respond(error(405, f"{path} answers GET", extra=b"Allow: GET, HEAD\r\n"))
        elif path == "/":
            exchange.respond(self._describing.page())
        else:
            coded, known = headers.get(b"accept-encoding", b""), headers.get(b"if-none-match", b"")
            exchange.respond(self._describing.document(coded, known))

    def _metrics(self, exchange: Exchange, path: str) -> None:
        if exchange.request.method not in (b"GET", b"HEAD"):
            exchange.respond(error(405, f"{path} answers GET", extra=b"Allow: GET, HEAD\r\n"))
            return
        manage = self._models.manage
        if manage is None:
            exchange.respond(error(404, f"there is nothing at {path}"))
            return
        accept = exchange.request.headers.get(b"accept", b"").decode("latin-1")

        async def collect() -> None:
            try:
                page, content_type = msgspec.json.decode(
                    await manage("metrics", {"accept": accept}), type=tuple[str, str]
                )
            except StatusError as problem:
                self.desk.refuse(exchange, problem)
            else:
                exchange.respond(Response(200, page.encode(), content_type=content_type.encode()))

        self._later(collect())

    def _health(self, method: bytes, path: str) -> Response:
        if method == b"OPTIONS":
            return Response(204, extra=b"Allow: GET, HEAD, OPTIONS\r\n")
        if method not in (b"GET", b"HEAD"):
            return error(405, f"{path} answers GET", extra=b"Allow: GET, HEAD, OPTIONS\r\n")
        readiness = self._models.readiness
        if path == "/healthz" or readiness == "ready":
            return Response(200, b'{"status": "ok"}')
        return error(503, f"not ready: {readiness}", code=readiness)


def _allowing(respond: Callable[[Response], None]) -> Callable[[Response], None]:
    """Pages of other sites may read the answer (--rest_api_enable_cors_support)."""

    def answer(response: Response) -> None:
        response.extra += (
            b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: POST, GET\r\n"
            b"Access-Control-Allow-Headers: Content-Type\r\n"
        )
        respond(response)

    return answer


def _peer(exchange: Exchange) -> Peer | None:
    """The client's certificate, where TLS has verified one."""
    if not exchange.certificate:
        return None
    from serving.guard.certificates import of_tls

    return of_tls(exchange.certificate)
