"""What the headers of a call say, checked: RFC 9113, sections 8.2 and 8.3, and gRPC's PROTOCOL-HTTP2.md."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serving.grpc.calls import Told
from serving.grpc.methods import Method
from serving.grpc.wire import blocks, coding
from serving.grpc.wire.hpack import Field
from serving.interface import Code

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE = re.compile(rb"[\0\r\n]|^[ \t]|[ \t]$")
_PSEUDO = {b":method", b":scheme", b":path", b":authority"}
_OF_CONNECTIONS = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_OURS = {b"te", b"content-type", b"grpc-encoding", b"grpc-accept-encoding", b"content-length"}
_TYPE = re.compile(rb"application/grpc(\+proto)?([ \t]*;.*)?", re.IGNORECASE | re.DOTALL)
_MOST_KEPT, _MOST_KEPT_BYTES = 256, 2048


class MalformedError(ValueError):
    """No request by RFC 9113, section 8.1.1: its stream is reset."""


@dataclass(frozen=True, slots=True)
class Head:
    """
    Args:
        method: None where the call is refused.
        refusal: the header block that answers it then; `waits` whether only when all has come, because it is no client of gRPC's:
            others hang or fail where they are answered early.
        metadata: the headers but those that the transport is for; names in lower case, of several values a list by commas.
        encoding: of messages that are compressed; empty for none.
        answer: what answers may be compressed by: the same, if the client takes it.
        length: of the body, where it is told.
    """

    method: Method | None
    refusal: bytes
    metadata: Mapping[bytes, bytes]
    encoding: str = ""
    answer: str = ""
    length: int | None = None
    waits: bool = False


class Heads:
    """Reads headers. Those that many calls share are read once.

    Args:
        methods: by path, `/service/method`.
    """

    def __init__(self, methods: Mapping[bytes, Method]) -> None:
        self._methods = methods
        self._services = {path.rpartition(b"/")[0] for path in methods}
        self._known: dict[tuple[Field, ...], Head] = {}

    def read(self, fields: Sequence[Field]) -> tuple[Head, float | None]:
        """The head and the seconds that the client grants. 1 us where the head is known.

        Raises:
            MalformedError: no HTTP request.
        """
        timeout = None
        rest = tuple([field for field in fields if field[0] != b"grpc-timeout"])
        head = self._known.get(rest)
        if head is None:
            head = self._read(rest)
            if sum(len(name) + len(value) for name, value in rest) <= _MOST_KEPT_BYTES:
                if len(self._known) >= _MOST_KEPT:
                    self._known.clear()
                self._known[rest] = head
        if len(rest) != len(fields):
            timeout = _timeout([value for name, value in fields if name == b"grpc-timeout"])
            if timeout is None and head.method is not None:
                head = _refused(Code.INVALID_ARGUMENT, "the header grpc-timeout holds no time")
        return head, timeout

    def _read(self, fields: Sequence[Field]) -> Head:
        pseudo, regular = _split(fields)
        length = _length(regular.get(b"content-length"))
        refusal = self._refusal(pseudo, regular)
        if refusal is not None:
            return refusal
        encoding = regular.get(b"grpc-encoding", b"identity").decode("latin-1")
        if encoding == "identity":
            encoding = ""
        elif not coding.is_known(encoding):
            return _refused(
                Code.UNIMPLEMENTED, f"messages compressed by {encoding[:40]!r} are not taken, only by gzip and deflate"
            )
        taken = regular.get(b"grpc-accept-encoding", b"").decode("latin-1").replace(" ", "").split(",")
        metadata, bad = _metadata(regular)
        if bad:
            return _refused(Code.INVALID_ARGUMENT, f"the header {bad} holds no base64")
        method = self._methods[pseudo[b":path"]]
        return Head(method, b"", metadata, encoding, encoding if encoding in taken else "", length)

    def _refusal(self, pseudo: Mapping[bytes, bytes], regular: Mapping[bytes, bytes]) -> Head | None:
        if pseudo[b":method"] != b"POST":
            return _refused(Code.UNIMPLEMENTED, "gRPC takes POST alone; REST is answered over HTTP/1.1", 405)
        if not _TYPE.fullmatch(regular.get(b"content-type", b"")):
            return _refused(Code.INVALID_ARGUMENT, "the header content-type is not application/grpc", 415)
        if regular.get(b"te") != b"trailers":
            return _refused(
                Code.INVALID_ARGUMENT, "the header te: trailers is missing: what stands between may not pass gRPC on"
            )
        path = pseudo[b":path"]
        if path in self._methods:
            return None
        service = path.rpartition(b"/")[0]
        name = path[:200].decode("utf-8", "replace")
        what = "method" if service in self._services else "service of method"
        return _refused(Code.UNIMPLEMENTED, f"unknown {what} {name}")


def _refused(code: Code, message: str, status: int = 0) -> Head:
    told = Told(code, message, None)
    refusal = blocks.refused(status, told) if status else blocks.failed(told, is_first=True)
    return Head(None, refusal, {}, waits=bool(status))


def _split(fields: Sequence[Field]) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """Pseudo-headers and headers."""
    pseudo: dict[bytes, bytes] = {}
    regular: dict[bytes, bytes] = {}
    for name, value in fields:
        if _BAD_VALUE.search(value):
            raise MalformedError
        if name[:1] == b":":
            if regular or name in pseudo or name not in _PSEUDO:
                raise MalformedError
            pseudo[name] = value
            continue
        if not _NAME.fullmatch(name) or name in _OF_CONNECTIONS or (name == b"te" and value != b"trailers"):
            raise MalformedError
        # One that comes several times is a list; to take one of them is what smuggling lives on.
        regular[name] = value if name not in regular else b"%b, %b" % (regular[name], value)
    if not (pseudo.get(b":path") and pseudo.get(b":scheme") and pseudo.get(b":method")):
        raise MalformedError
    if pseudo[b":path"][:1] != b"/" and pseudo[b":method"] == b"POST":
        raise MalformedError
    return pseudo, regular


def _length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not (value.isdigit() and len(value) < 16):
        raise MalformedError
    return int(value)


def _timeout(values: Sequence[bytes]) -> float | None:
    found = _TIMEOUT.fullmatch(values[0]) if len(values) == 1 else None
    return None if found is None else int(found[1]) * _SECONDS[found[2]]


def _metadata(regular: Mapping[bytes, bytes]) -> tuple[dict[bytes, bytes], str]:
    """Names and values, those of `-bin` decoded; and the name of one that is not what it says."""
    metadata: dict[bytes, bytes] = {}
    for name, value in regular.items():
        if name in _OURS:
            continue
        if not name.endswith(b"-bin"):
            metadata[name] = value
            continue
        try:
            metadata[name] = b",".join(_binary(part.strip()) for part in value.split(b","))
        except binascii.Error:
            return {}, name[:100].decode()
    return metadata, ""


def _binary(text: bytes) -> bytes:
    """With padding or without, as clients write either."""
    bare = text.rstrip(b"=")
    return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
