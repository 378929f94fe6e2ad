"""Messages of protobuf spoilt at the level of their wire format: fields doubled, dropped, of another type, lengths put right again.

https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import random

from benchmarks.fuzzing_parts.mutations import spoil

_VARINT, _EIGHT, _TEXT, _FOUR = 0, 1, 2, 5
_ODD = [0, 1, 2, 127, 128, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1]
_SIZES = {_EIGHT: 8, _FOUR: 4}
Field = tuple[int, int, bytes]
"""Number, wire type, and the value without its length."""


def spoil_wire(raw: bytes, rng: random.Random, depth: int = 0) -> bytes:
    """Some field of it changed, at any depth; bytes where it is no message."""
    fields = _fields(raw)
    if not fields or rng.random() < 0.1:
        return spoil(raw, rng, 1)
    for _ in range(1 if depth else rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(fields))
        choice = rng.random()
        if choice < 0.12 and len(fields) > 1:
            del fields[at]
        elif choice < 0.25:
            fields.insert(rng.randrange(len(fields) + 1), fields[at])
        elif choice < 0.3:
            fields *= rng.choice((2, 20))
        else:
            fields[at] = _change(fields[at], rng, depth)
    return b"".join(map(_written, fields))


def _change(field: Field, rng: random.Random, depth: int) -> Field:
    number, kind, value = field
    if rng.random() < 0.08:
        return rng.choice((number, number + 1, 1, 15, 536_870_911)), rng.choice((kind, _VARINT, _TEXT, _FOUR, 3)), value
    if kind == _TEXT:
        inner = spoil_wire(value, rng, depth + 1) if depth < 8 and rng.random() < 0.8 else spoil(value, rng, 1)
        return number, kind, inner
    if kind == _VARINT:
        return number, kind, varint(rng.choice((*_ODD, rng.randrange(64))))
    return number, kind, rng.randbytes(len(value))


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _written(field: Field) -> bytes:
    number, kind, value = field
    tag = varint(number << 3 | kind)
    return tag + varint(len(value)) + value if kind == _TEXT else tag + value


def _fields(raw: bytes) -> list[Field]:
    """The fields of a message; none where this is none."""
    found: list[Field] = []
    at = 0
    while at < len(raw):
        tag, at = _read(raw, at)
        number, kind = tag >> 3, tag & 7
        if at < 0 or not number or kind not in (_VARINT, _EIGHT, _TEXT, _FOUR):
            return []
        start = at
        if kind == _VARINT:
            _, at = _read(raw, at)
            if at < 0:
                return []
            found.append((number, kind, raw[start:at]))
            continue
        size = _SIZES.get(kind, 0)
        if kind == _TEXT:
            size, start = _read(raw, at)
        at = start + size
        if start < 0 or at > len(raw):
            return []
        found.append((number, kind, raw[start:at]))
    return found


def _read(raw: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while at < len(raw) and shift < 70:
        number |= (raw[at] & 0x7F) << shift
        shift += 7
        at += 1
        if raw[at - 1] < 0x80:
            return number, at
    return 0, -1
