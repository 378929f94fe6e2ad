"""The least of HTTP/1.1, and of gRPC on HTTP/2, that a load generator needs: requests ready as bytes, answers only measured out."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Protocol

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
BROKEN = -1
"""The status of an answer that is no HTTP, and of a connection that ended without one."""


class Wire(Protocol):
    """One connection's side of a protocol; one request at a time."""

    def request(self) -> bytes | None:
        """What to send for the next request; None while the server gives no room for it (`owed` has it later)."""
        ...

    def feed(self, data: bytes) -> int | None:
        """Take what came; the status when the answer is whole: of HTTP, or 200 for a gRPC answer with a message."""
        ...

    def owed(self) -> bytes:
        """What the protocol itself wants sent now, and a request that waited for room."""
        ...


class Http1:
    """Keep-alive without pipelining.

    Args:
        raw: the whole request.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._got = b""
        self._missing = 0
        self._status = 0
        self._usual = (-1, -1)
        self.answer = b""
        """The last whole answer."""

    def request(self) -> bytes:
        return self._raw

    def owed(self) -> bytes:
        return b""

    def feed(self, data: bytes) -> int | None:
        # Most answers look like the one before: as long, with as long a head. They need not be searched.
        size, end = self._usual
        if len(data) == size and not self._got and data[:12] == b"HTTP/1.1 200" and data[end : end + 4] == b"\r\n\r\n":
            self.answer = data
            return 200
        got = self._got + data if self._got else data
        if self._missing:
            return self._rest(got, len(data))
        end = got.find(b"\r\n\r\n")
        if end < 0:
            self._got = got
            return None
        if got[:5] != b"HTTP/":
            return BROKEN
        status = int(got[9:12])
        length = _LENGTH.search(got, 0, end)
        if length is not None:
            missing = end + 4 + int(length[1]) - len(got)
        elif _CHUNKED.search(got, 0, end):
            missing = 0 if got.endswith(b"0\r\n\r\n") else -1
        else:
            return BROKEN
        if missing:
            self._got, self._missing, self._status = got, missing, status
            return None
        self._usual = (len(got), end)
        return self._done(got, status)

    def _rest(self, got: bytes, new: int) -> int | None:
        self._got = got
        if self._missing > 0:
            self._missing -= new
        elif got.endswith(b"0\r\n\r\n"):
            self._missing = 0
        return None if self._missing else self._done(got, self._status)

    def _done(self, got: bytes, status: int) -> int:
        self.answer, self._got = got, b""
        return status


_FRAME = struct.Struct(">HBBBI")  # length in 16 + 8 bits, type, flags, stream
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_MOST_FRAME = 16384
_FIRST_WINDOW = 65535


class Grpc:
    """Unary calls, one stream after the other. Messages must fit into the window that a stream begins with (64 KB).

    HTTP/2 is https://www.rfc-editor.org/rfc/rfc9113, its header compression (none is used) rfc7541, gRPC on it
    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
    """

    def __init__(self, method: str, message: bytes, metadata: Sequence[tuple[str, str]] = ()) -> None:
        if len(message) + 5 > _FIRST_WINDOW:
            raise ValueError(f"a message of {len(message)} bytes is more than this generator sends")
        self._block = header_block(method, metadata)
        self._payload = b"\0" + struct.pack(">I", len(message)) + message
        self._stream = -1
        self._window = _FIRST_WINDOW
        self._bytes = 0
        self._got = b""
        self._is_waiting = False
        settings = b"".join(struct.pack(">HI", name, value) for name, value in ((1, 0), (2, 0), (4, 2**31 - 1)))
        room = frame(_WINDOW, 0, 0, struct.pack(">I", 2**31 - 1 - _FIRST_WINDOW))
        self._owed = [_PREFACE, frame(_SETTINGS, 0, 0, settings), room]

    def request(self) -> bytes | None:
        self._is_waiting = len(self._payload) > self._window
        if self._is_waiting:
            return None
        self._stream += 2
        self._window -= len(self._payload)
        self._bytes = 0
        parts = [*self._owed, frame(_HEADERS, _END_HEADERS, self._stream, self._block)]
        self._owed = []
        for at in range(0, len(self._payload), _MOST_FRAME):
            piece = self._payload[at : at + _MOST_FRAME]
            is_last = at + _MOST_FRAME >= len(self._payload)
            parts.append(frame(_DATA, _END_STREAM if is_last else 0, self._stream, piece))
        return b"".join(parts)

    def owed(self) -> bytes:
        request = self.request() if self._is_waiting and len(self._payload) <= self._window else None
        sent = b"".join(self._owed) + (request or b"")
        self._owed = []
        return sent

    def feed(self, data: bytes) -> int | None:
        got = self._got + data if self._got else data
        at, status = 0, None
        while len(got) - at >= 9:
            high, low, kind, flags, stream = _FRAME.unpack_from(got, at)
            end = at + 9 + (high << 8 | low)
            if end > len(got):
                break
            status = self._take(kind, flags, stream & 0x7FFFFFFF, got[at + 9 : end]) or status
            at = end
        self._got = got[at:]
        return status

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> int | None:
        if kind == _SETTINGS and not flags & _ACK:
            self._owed.append(frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._owed.append(frame(_PING, _ACK, 0, payload))
        elif kind == _WINDOW and not stream:
            self._window += int.from_bytes(payload, "big") & 0x7FFFFFFF
        elif kind == _GOAWAY or (kind == _RESET and stream == self._stream):
            return BROKEN
        elif stream == self._stream:
            self._bytes += len(payload) if kind == _DATA else 0
            if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
                return 200 if self._bytes else 500  # a call that failed has trailers, and no message
        return None


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _FRAME.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def header_block(method: str, metadata: Sequence[tuple[str, str]] = ()) -> bytes:
    """The headers of a call: those of the static table by their number, the others as they are."""
    parts = [b"\x83\x86\x04", _text(method), b"\x01", _text("localhost"), b"\x0f\x10", _text("application/grpc")]
    for name, value in (("te", "trailers"), *metadata):
        parts += [b"\0", _text(name), _text(value)]
    return b"".join(parts)


def _text(plain: str) -> bytes:
    raw = plain.encode()
    if len(raw) > 126:
        raise ValueError(f"{plain[:20]}… is longer than the 126 bytes that are written here")
    return bytes([len(raw)]) + raw
