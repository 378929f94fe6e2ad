"""Which route answers what. Health is here; models are in `tfs` and `v2`."""

from __future__ import annotations

from serving.http.desk import Desk
from serving.http.messages import Exchange, Response, error
from serving.http.tfs import Rest
from serving.http.v2 import OpenInference
from serving.models import Models

_HEALTH = {"/healthz", "/readyz"}


class Routes:
    """Answers exchanges from what `models` has."""

    def __init__(self, models: Models, request_seconds: float = 0.0) -> None:
        self._models = models
        desk = Desk(models, request_seconds)
        self._rest = Rest(models, desk)
        self._v2 = OpenInference(models, desk)

    def handle(self, exchange: Exchange) -> None:
        request = exchange.request
        encoding = request.headers.get(b"content-encoding", b"identity")
        if request.body and encoding.lower() != b"identity":
            text = encoding.decode("latin-1")
            exchange.respond(error(415, f"Content-Encoding {text!r} is not supported; send the body as it is"))
            return
        path = request.path
        start = path[:4]
        if start == "/v2/" or path == "/v2":
            self._v2.handle(exchange, path)
        elif start.lower() == "/v1/":
            self._rest.handle(exchange, path)
        elif path in _HEALTH:
            exchange.respond(self._health(request.method, path))
        else:
            exchange.respond(error(404, f"there is nothing at {path}"))

    def _health(self, method: bytes, path: str) -> Response:
        if method == b"OPTIONS":
            return Response(204, extra=b"Allow: GET, HEAD, OPTIONS\r\n")
        if method not in (b"GET", b"HEAD"):
            return error(405, f"{path} answers GET", extra=b"Allow: GET, HEAD, OPTIONS\r\n")
        readiness = self._models.readiness
        if path == "/healthz" or readiness == "ready":
            return Response(200, b'{"status": "ok"}')
        return error(503, f"not ready: {readiness}", code=readiness)
