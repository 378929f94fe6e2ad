"""Compressed messages: gRPC's `gzip` and `deflate` (RFC 1952, RFC 1950)."""

from __future__ import annotations

import zlib

from serving.interface import Code, StatusError

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
LEAST_BYTES = 1024
"""Shorter answers are not compressed: it would take longer than to send them."""


def is_known(encoding: str) -> bool:
    return encoding in _WINDOW_BITS


def inflate(raw: bytes | bytearray, encoding: str, most: int) -> bytes:
    """
    Args:
        most: bytes of the message; -1 for no limit. Not much more is ever inflated.

    Raises:
        StatusError: no such data, or more of it.
    """
    reader = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        message = reader.decompress(raw, most + 1 if most >= 0 else 0)
    except zlib.error:
        raise StatusError(Code.INVALID_ARGUMENT, f"the message is not compressed by {encoding}") from None
    if 0 <= most < len(message):
        raise too_large(most)
    if not reader.eof or reader.unused_data:
        raise StatusError(Code.INVALID_ARGUMENT, f"the message is not one whole of {encoding}")
    return message


def deflate(message: bytes, encoding: str) -> bytes:
    writer = zlib.compressobj(1, zlib.DEFLATED, _WINDOW_BITS[encoding])
    return writer.compress(message) + writer.flush()


def too_large(most: int) -> StatusError:
    return StatusError(Code.RESOURCE_EXHAUSTED, f"the message is greater than {most} bytes")
