"""Header blocks of answers, made of literals that are never kept: they need no state, and most are made once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote_from_bytes

from serving.grpc.calls import Told
from serving.grpc.wire.hpack import STATIC
from serving.interface import Code

_NUMBERS = {name: number for number, (name, _) in reversed(list(enumerate(STATIC))) if number}
_WHOLE = {field: number for number, field in enumerate(STATIC) if number and field[1]}
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
ENCODINGS = b"identity,deflate,gzip"
"""What messages may be compressed by."""


def block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Fields as literals without indexing, or by their number in the static table (RFC 7541, section 6)."""
    return b"".join(map(_literal, fields))


def _literal(field: tuple[bytes, bytes]) -> bytes:
    name, value = field
    whole = _WHOLE.get(field)
    if whole is not None:
        return bytes([0x80 | whole])
    number = _NUMBERS.get(name)
    head = b"\0" + _text(name) if number is None else _integer(number, 0x0F)
    return head + _text(value)


def _text(raw: bytes) -> bytes:
    return _integer(len(raw), 0x7F) + raw


def _integer(number: int, most: int) -> bytes:
    if number < most:
        return bytes([number])
    coded, number = bytearray([most]), number - most
    while number > 0x7F:
        coded.append(number & 0x7F | 0x80)
        number >>= 7
    coded.append(number)
    return bytes(coded)


_BEGIN = ((b":status", b"200"), (b"content-type", b"application/grpc"))
BEGIN = block(_BEGIN)
"""In front of messages."""
OK = block([(b"grpc-status", b"0")])
"""Behind messages."""


@lru_cache(maxsize=8)
def begin(encoding: str) -> bytes:
    """In front of messages that are compressed."""
    return block([*_BEGIN, (b"grpc-encoding", encoding.encode())])


def failed(told: Told, *, is_first: bool) -> bytes:
    """Behind messages, or alone where `is_first`, of a call that failed."""
    fields = list(_BEGIN) if is_first else []
    fields.append((b"grpc-status", str(int(told.code)).encode()))
    if told.message:
        fields.append((b"grpc-message", percent(told.message)))
    if told.pushback is not None:
        fields.append((b"grpc-retry-pushback-ms", str(told.pushback).encode()))
    if is_first and told.code == Code.UNIMPLEMENTED:
        fields.append((b"grpc-accept-encoding", ENCODINGS))
    return block(fields)


@lru_cache(maxsize=64)
def refused(status: int, told: Told) -> bytes:
    """Of what is no gRPC: the HTTP status tells who speaks HTTP alone."""
    return block(
        [
            (b":status", str(status).encode()),
            (b"content-type", b"application/grpc"),
            (b"grpc-status", str(int(told.code)).encode()),
            (b"grpc-message", percent(told.message)),
        ]
    )


def percent(message: str) -> bytes:
    """https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: printable ASCII but `%` as it is."""
    return quote_from_bytes(message.encode("utf-8", "replace"), safe=_PLAIN).encode()
