"""From a request's bytes to a message, and from errors to what gRPC tells of them."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from serving.interface import Code, StatusError

Request = TypeVar("Request")

_MAX_MESSAGE = 1024
_CUT = "...TRUNCATED"


def parse(request: type[Request], raw: bytes) -> Request:
    """
    Raises:
        StatusError: not a message of that kind.
    """
    message: Any = request
    try:
        parsed: Request = message.FromString(raw)
    except DecodeError:
        what = message.DESCRIPTOR.full_name.removeprefix("skylift.views.")
        raise StatusError(Code.INVALID_ARGUMENT, f"the request's bytes are no {what}") from None
    return parsed


class Told(NamedTuple):
    """What a client is told of an error.

    Args:
        pushback: when to try again [ms], for the trailer `grpc-retry-pushback-ms`; None for no wish.
            https://github.com/grpc/proposal/blob/master/A6-client-retries.md
    """

    code: Code
    message: str
    pushback: int | None


def told(error: Exception) -> Told:
    """Long messages are cut as TensorFlow Serving does. What is no StatusError is a fault of ours, and logged."""
    if not isinstance(error, StatusError):
        logging.getLogger(__name__).error("a call failed", exc_info=error)
        error = StatusError(Code.INTERNAL, f"{type(error).__name__}: {error}")
    message = error.message if len(error.message) <= _MAX_MESSAGE else error.message[:_MAX_MESSAGE] + _CUT
    return Told(error.code, message, None if error.retry_after is None else round(error.retry_after * 1000))
