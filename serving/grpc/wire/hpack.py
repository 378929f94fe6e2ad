"""Header blocks of clients: RFC 7541. What is answered needs no table, see `serving.grpc.wire.blocks`."""

from __future__ import annotations

from collections import deque

from serving.grpc.wire.huffman import HuffmanError, decode

Field = tuple[bytes, bytes]

TABLE_BYTES = 4096
"""Of the dynamic table: what SETTINGS_HEADER_TABLE_SIZE is where nobody says another."""
_OVERHEAD = 32
_STATIC_TEXT = """:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|\
:status 206|:status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|accept-language|\
accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|content-encoding|\
content-language|content-length|content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|\
if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|\
proxy-authorization|range|referer|refresh|retry-after|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|\
via|www-authenticate"""


def _field(text: str) -> Field:
    name, _, value = text.partition(" ")
    return name.encode(), value.encode()


STATIC: tuple[Field, ...] = ((b"", b""), *map(_field, _STATIC_TEXT.split("|")))
"""Appendix A; the first has number 1."""


class HpackError(ValueError):
    """The block cannot be read, and no later one of its connection either."""


class Decoder:
    """The state of one connection's header compression.

    Args:
        most_bytes: of all names and values of a block, each field counted with 32 more (RFC 9113, section 6.5.2).

    Attributes:
        changes: of the table so far: what a block means stays the same while this does.
    """

    def __init__(self, most_bytes: int) -> None:
        self.changes = 0
        self._most = most_bytes
        self._table: deque[Field] = deque()
        self._bytes = 0
        self._limit = TABLE_BYTES

    def decode(self, block: bytes) -> list[Field] | None:
        """The fields in order; None where there are more than may be: the table is kept all the same.

        Raises:
            HpackError: malformed.
        """
        try:
            return self._decode(block)
        except (IndexError, HuffmanError):
            raise HpackError from None

    def _decode(self, block: bytes) -> list[Field] | None:
        fields: list[Field] = []
        at, end, size, may_resize = 0, len(block), 0, True
        while at < end:
            first = block[at]
            if first & 0x80:
                number, at = _integer(block, at, 0x7F)
                field = self._at(number)
            elif first & 0xE0 == 0x20:
                if not may_resize:
                    raise HpackError
                number, at = _integer(block, at, 0x1F)
                self._resize(number)
                continue
            else:
                keeps = first & 0x40
                number, at = _integer(block, at, 0x3F if keeps else 0x0F)
                if number:
                    name = self._at(number)[0]
                else:
                    name, at = _text(block, at)
                value, at = _text(block, at)
                field = (name, value)
                if keeps:
                    self._add(field)
            may_resize = False
            size += len(field[0]) + len(field[1]) + _OVERHEAD
            if size <= self._most:
                fields.append(field)
        return fields if size <= self._most else None

    def _at(self, number: int) -> Field:
        if number < 62:
            if not number:
                raise HpackError
            return STATIC[number]
        return self._table[number - 62]

    def _add(self, field: Field) -> None:
        self.changes += 1
        self._table.appendleft(field)
        self._bytes += len(field[0]) + len(field[1]) + _OVERHEAD
        self._evict()

    def _resize(self, size: int) -> None:
        if size > TABLE_BYTES:
            raise HpackError
        self.changes += 1
        self._limit = size
        self._evict()

    def _evict(self) -> None:
        while self._bytes > self._limit:
            name, value = self._table.pop()
            self._bytes -= len(name) + len(value) + _OVERHEAD


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """The number that begins in a byte's low bits, and where it ends (section 5.1)."""
    number = block[at] & mask
    at += 1
    if number < mask:
        return number, at
    for shift in (0, 7, 14, 21):
        byte = block[at]
        at += 1
        number += (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise HpackError


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    is_coded = block[at] & 0x80
    length, at = _integer(block, at, 0x7F)
    end = at + length
    if end > len(block):
        raise HpackError
    raw = block[at:end]
    return decode(raw) if is_coded else raw, end
