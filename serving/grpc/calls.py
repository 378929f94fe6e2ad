"""From a request's bytes to an answer's, and from errors to gRPC's statuses."""

from __future__ import annotations

import logging
import time
from typing import Any, TypeVar

import grpc  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from serving.grpc.front import Answer, Context, Front, Kind
from serving.interface import Code, StatusError

Handler = Any  # grpc.RpcMethodHandler
Request = TypeVar("Request")

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_MAX_MESSAGE = 1024
_CUT = "...TRUNCATED"


def unary(request: type[Request], answer: Answer, kind: Kind, front: Front) -> Handler:
    """A method that takes and returns one message. `answer` gets the deadline, by `time.monotonic`, too."""

    async def call(raw: bytes, context: Context) -> bytes:
        arrived = time.monotonic()
        try:
            return await front.pass_through(kind, parse(request, raw), context, answer, arrived, len(raw))
        except StatusError as error:
            await abort(context, error)
        except Exception as error:
            logging.getLogger(__name__).exception("a call failed")
            await abort(context, StatusError(Code.INTERNAL, f"{type(error).__name__}: {error}"))
        raise AssertionError("abort returned")

    return grpc.unary_unary_rpc_method_handler(call)


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


async def abort(context: Context, error: StatusError) -> None:
    """End a call with an error; always raises. Long messages are cut as TensorFlow Serving does."""
    message = error.message if len(error.message) <= _MAX_MESSAGE else error.message[:_MAX_MESSAGE] + _CUT
    metadata: tuple[tuple[str, str], ...] = ()
    if error.retry_after is not None:
        # The server's wish, in ms: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
        metadata = (("grpc-retry-pushback-ms", str(round(error.retry_after * 1000))),)
    await context.abort(_CODES[int(error.code)], message, metadata)
