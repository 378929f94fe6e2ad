"""Statuses: TensorFlow's codes as HTTP's (model_servers/http_server.cc, ToHTTPStatusCode), and the body that tells an error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

from serving.http.messages import Response, error
from serving.interface import Code, StatusError

HTTP: Mapping[Code, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}


def http_status(status: int) -> int:
    """HTTP's status for what a call ended with: gRPC's numbers are all below HTTP's."""
    return HTTP[Code(status)] if status < 100 else status


def refusal(problem: StatusError, headers: bytes = b"") -> Response:
    """`{"error": ...}`, with `code` beside it where the error has a reason for programs."""
    if problem.retry_after is not None:
        made = _shed(problem.http or HTTP[problem.code], problem.message, problem.reason, problem.retry_after)
        answer = Response(made.status, made.body, headers + made.extra)
    else:
        answer = error(problem.http or HTTP[problem.code], problem.message, code=problem.reason, extra=headers)
    challenge: bytes = getattr(problem, "challenge", b"")
    if challenge:
        answer.extra += b"WWW-Authenticate: %b\r\n" % challenge
    return answer


@lru_cache(64)
def _shed(status: int, message: str, reason: str, retry_after: float) -> Response:
    """Made once: where more comes than can be computed, most are told the same."""
    return error(status, message, code=reason, extra=b"Retry-After: %d\r\n" % max(1, math.ceil(retry_after)))
