"""Requests as routes see them, and the bytes of response heads."""

from __future__ import annotations

import http
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from serving.calls import Call, Way

JSON = b"application/json"
LONGEST_KEPT = 256
"""Bytes of a path about which something is remembered."""

STATUS_LINES: dict[int, bytes] = {
    **{status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus},
    499: b"HTTP/1.1 499 Client Closed Request\r\n",
}


@dataclass(slots=True)
class Request:
    """One request, whole. Header names are lower case.

    A large body is a bytearray, filled as it came, and passes for bytes: nobody changes it. Slices that are kept must be made bytes.
    """

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path without the query, as it was sent."""
        return _path_of(self.target) if len(self.target) <= LONGEST_KEPT else _path(self.target)


def _path(target: bytes) -> str:
    return target.partition(b"?")[0].decode("latin-1")


_path_of = lru_cache(maxsize=1024)(_path)


@dataclass(slots=True)
class Response:
    """`extra` holds whole header lines, each ended by CRLF."""

    status: int
    body: bytes = b""
    extra: bytes = b""
    content_type: bytes = JSON
    closes: bool = False


@dataclass(slots=True, eq=False)
class Exchange:
    """A request under way. Routes call `respond` once, now or later; `on_abandon` is called if the client leaves before.

    Args:
        began: when it was there as a whole, by `time.monotonic` [s].
        call: what is known of it where it asks for a prediction.
        principal: who asks, where that is known; `client` the address that it comes from,
            `certificate` the one that it showed, as `ssl.SSLSocket.getpeercert` tells it.
    """

    request: Request
    respond: Callable[[Response], None]
    on_abandon: Callable[[], None] | None = None
    data: bytes | None = field(default=None)
    closes: bool = False
    began: float = 0.0
    call: Call | None = None
    principal: str = ""
    client: str = ""
    certificate: Mapping[str, Any] | None = None
    way: Way | None = None
    """The service whose route it came by, where that is not the protocol's own."""

    def forget(self) -> None:
        """It is over. What refers to each other would else wait for the garbage collector, bodies and tensors with it."""
        self.respond = _over
        self.on_abandon = None


def _over(response: Response) -> None:
    """Nobody waits for an answer any more."""


def origin_form(target: bytes) -> bytes:
    """Path and query of a target that names scheme and host, too (RFC 9112, section 3.2.2); others as they are."""
    scheme, mark, rest = target.partition(b"://")
    if not mark or scheme.lower() not in (b"http", b"https"):
        return target
    authority = re.match(rb"[^/?#]*", rest)
    assert authority is not None
    path = rest[authority.end() :]
    return path if path[:1] == b"/" else b"/" + path


def head(response: Response, *, closes: bool, keeps_alive_1_0: bool, date: bytes) -> bytes:
    """Status line and headers with the empty line behind them."""
    parts = [STATUS_LINES[response.status], date]
    if response.body or response.status not in (204, 304):
        if response.body:
            parts.append(b"Content-Type: %b\r\n" % response.content_type)
        parts.append(b"Content-Length: %d\r\n" % len(response.body))
    parts.append(response.extra)
    if closes:
        parts.append(b"Connection: close\r\n")
    elif keeps_alive_1_0:
        parts.append(b"Connection: keep-alive\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def error(status: int, message: str, *, code: str = "", extra: bytes = b"", closes: bool = False) -> Response:
    """The error body of TensorFlow Serving; `code` is ours, for what it does not know."""
    plain = {"error": message, "code": code} if code else {"error": message}
    return Response(status, encode_text(plain), extra, closes=closes)


def encode_text(plain: object) -> bytes:
    """JSON of texts that may hold what is no Unicode, because a client sent it: that is escaped."""
    try:
        return msgspec.json.encode(plain)
    except UnicodeEncodeError:
        return json.dumps(plain).encode()
