"""How services ask whether a replica lives and may get requests."""

from __future__ import annotations

from serving.http.messages import Response, error
from serving.models import Models

_METHODS = b"Allow: GET, HEAD\r\n"


def liveness(method: bytes, path: str) -> Response:
    """The process alone."""
    return _wrong_method(method, path) or Response(200, b'{"status": "ok"}')


def readiness(models: Models, method: bytes, path: str) -> Response:
    """200 with nothing deployed; else 503 until what is to be served has once answered, then 200 until the end."""
    wrong = _wrong_method(method, path)
    if wrong is not None:
        return wrong
    if models.is_ready:
        return Response(200, b'{"status": "ok"}')
    return error(503, f"not ready: {models.readiness}", code=models.readiness)


def _wrong_method(method: bytes, path: str) -> Response | None:
    return None if method in (b"GET", b"HEAD") else error(405, f"{path} answers GET", extra=_METHODS)
