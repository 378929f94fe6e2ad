"""Statuses by the names that gRPC and TensorFlow Serving's metrics have for them."""

from __future__ import annotations

from serving.calls import Way
from serving.interface import Code

_OF_HTTP = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    408: Code.DEADLINE_EXCEEDED,
    409: Code.ALREADY_EXISTS,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}


def is_grpc(protocol: Way) -> bool:
    return protocol.endswith("-grpc")


def is_success(protocol: Way, status: int) -> bool:
    return not status if is_grpc(protocol) else 100 <= status < 400


def name_of(protocol: Way, status: int) -> str:
    """`OK`, `INVALID_ARGUMENT`, … An HTTP status that stands for several codes has the name of the most common one."""
    if is_success(protocol, status):
        return "OK"
    if is_grpc(protocol):
        return Code(status).name if 0 <= status < len(Code) else "UNKNOWN"
    return _OF_HTTP.get(status, Code.INVALID_ARGUMENT if 400 <= status < 500 else Code.UNKNOWN).name
