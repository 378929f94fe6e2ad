"""Frames of HTTP/2: RFC 9113, sections 4, 6 and 7."""

from __future__ import annotations

import struct
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD = struct.Struct(">HBBBI")
"""Length in 16 + 8 bits, kind, flags, stream."""
HEAD_BYTES = 9
MOST_WINDOW = 2**31 - 1
FIRST_WINDOW = 65535
LEAST_FRAME = 16384
MOST_FRAME = 2**24 - 1

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 1
END_HEADERS = 4
PADDED = 8
HAS_PRIORITY = 32

HEADER_TABLE_SIZE = 1
ENABLE_PUSH = 2
MAX_CONCURRENT_STREAMS = 3
INITIAL_WINDOW_SIZE = 4
MAX_FRAME_SIZE = 5
MAX_HEADER_LIST_SIZE = 6
_SETTING = struct.Struct(">HI")


class Why(IntEnum):
    """Error codes of RST_STREAM and GOAWAY (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class BrokenConnectionError(Exception):
    """The client broke the protocol in a way that ends the connection."""

    def __init__(self, why: Why, what: str) -> None:
        super().__init__(what)
        self.why = why


class BrokenStreamError(Exception):
    """The client broke the protocol in a way that ends one stream."""

    def __init__(self, stream: int, why: Why) -> None:
        super().__init__(stream, why)
        self.stream = stream
        self.why = why


def frame(kind: int, flags: int, stream: int, payload: bytes | memoryview = b"") -> bytes:
    size = len(payload)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(*values: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*value) for value in values))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """
    Raises:
        BrokenConnectionError: a value that may not be.
    """
    if len(payload) % 6:
        raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "SETTINGS of a length that is no multiple of 6")
    values = list(_SETTING.iter_unpack(payload))
    for name, value in values:
        if name == ENABLE_PUSH and value > 1:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        if name == INITIAL_WINDOW_SIZE and value > MOST_WINDOW:
            raise BrokenConnectionError(Why.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE above 2^31-1")
        if name == MAX_FRAME_SIZE and not LEAST_FRAME <= value <= MOST_FRAME:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range")
    return values


def reset(stream: int, why: Why) -> bytes:
    return frame(RST_STREAM, 0, stream, why.to_bytes(4, "big"))


def window_update(stream: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def goaway(last: int, why: Why, what: str = "") -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, why) + what.encode())
