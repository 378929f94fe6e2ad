"""Compressed messages: gRPC's `gzip` and `deflate` (RFC 1952, RFC 1950)."""

from __future__ import annotations

import zlib

from serving.interface import Code, StatusError

_WINDOW_BITS = {"gzip": 31, "deflate": 15}
LEAST_BYTES, MOST_BYTES = 1024, 1 << 20
"""Shorter answers are not compressed, for it takes longer than to send them; longer ones neither, for others would wait."""
QUICK_BYTES = 64 * 1024
MOST_QUICK = 1 << 20
"""Up to here a message is inflated in the event loop, in 2 ms at most; greater ones by a thread."""


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


def inflate_quickly(raw: bytes | bytearray, encoding: str, most: int) -> bytes | None:
    """None where it would take long.

    Raises:
        StatusError: as `inflate`.
    """
    if len(raw) > QUICK_BYTES:
        return None
    is_short = 0 <= most <= MOST_QUICK
    try:
        return inflate(raw, encoding, most if is_short else MOST_QUICK)
    except StatusError as error:
        if is_short or error.code != Code.RESOURCE_EXHAUSTED:
            raise
        return None


def is_worth(size: int) -> bool:
    """Whether an answer of so many bytes is compressed."""
    return LEAST_BYTES <= size <= MOST_BYTES


def deflate(message: bytes, encoding: str) -> bytes:
    writer = zlib.compressobj(1, zlib.DEFLATED, _WINDOW_BITS[encoding])
    return writer.compress(message) + writer.flush()


def too_large(most: int) -> StatusError:
    return StatusError(Code.RESOURCE_EXHAUSTED, f"the message is greater than {most} bytes")
