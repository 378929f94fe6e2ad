"""Ways to spoil bytes and JSON, the same everywhere."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

TOKENS = [
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b",",
        b":",
        b'"',
        b"[]",
        b"{}",
        b"[[",
        b"]]",
        b"null",
        b"true",
        b"false",
        b"NaN",
        b"Infinity",
    ),
    *(b"-Infinity", b"-", b"0", b"1", b"-1", b"1.5", b"1e999", b"-1e-999", b"1e5", b"01", b".5", b"9007199254740993"),
    *(b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"2147483648", b"4294967296", b"256"),
    *(
        b"9" * 400,
        b"1" * 5000,
        b'"a"',
        b'"\\ud800"',
        b'"\\u0000"',
        b'"\xff"',
        b"\xff",
        b"\xef\xbb\xbf",
        b"\x00",
        b"\r\n",
        b"\\",
    ),
    *(b'{"b64":"aGk="}', b'{"b64":"*"}', b'{"b64":1}', b'"instances":', b'"inputs":', b'"x":', b'"shape":', b'"data":'),
    *(b'"signature_name":"none"', b'"output_filter":["none"]', b"[" * 2000, b'{"a":' * 2000, b"1,1,1,1"),
]
VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 0.5, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**30, 1e308, float("nan")),
    *(float("inf"), "", "a", "é\u0000", "\ud800", [], {}, [[]], [1, [2]], [[1], [2, 3]], {"b64": "aGk="}, {"b64": "!"}),
    *(
        {"x": 1},
        [None],
        ["a", 1],
        [True, 1],
        "serving_default",
        "none",
        "FP32",
        "x" * 300,
        [1] * 70,
        "a\r\nX-Evil: yes",
    ),
]

_KEYS = ("", "x", "y", "id", "name", "data", "inputs", "instances", "parameters", "é")


def spoil(data: bytes, rng: random.Random, times: int | None = None) -> bytes:
    """Bytes changed, taken out, put in, doubled, cut."""
    out = bytearray(data)
    for _ in range(times if times is not None else rng.choice((1, 1, 2, 3, 6))):
        at = rng.randrange(len(out) + 1)
        choice = rng.random()
        if choice < 0.3:
            out[at : at + 1] = bytes([rng.randrange(256)])
        elif choice < 0.45:
            del out[at : at + rng.choice((1, 1, 2, 4, 16, 300))]
        elif choice < 0.7:
            out[at : at + rng.choice((0, 1, 3))] = rng.choice(TOKENS)
        elif choice < 0.8:
            out[at:at] = out[at : at + rng.randrange(1, 60)]
        elif choice < 0.9:
            out[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        elif choice < 0.95 and len(out) > at:
            out[at] ^= 1 << rng.randrange(8)
        else:
            del out[at:]
    return bytes(out)


def spoil_json(data: bytes, rng: random.Random) -> bytes:
    """Some value in it replaced, removed, wrapped or doubled; what is no JSON is spoilt as bytes."""
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        return spoil(data, rng)
    try:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            plain = _change(plain, rng)
        text = json.dumps(plain, ensure_ascii=rng.random() < 0.7)
    except RecursionError:
        return spoil(data, rng)
    if rng.random() < 0.05:
        text += rng.choice((" ", "x", "{}", "\x00"))
    return text.encode("utf-8", "surrogatepass")


def _change(plain: Any, rng: random.Random) -> Any:
    if not isinstance(plain, dict | list) or not plain or rng.random() < 0.15:
        return _other(plain, rng)
    key = rng.choice(list(plain)) if isinstance(plain, dict) else rng.randrange(len(plain))
    if rng.random() < 0.7:
        plain[key] = _change(plain[key], rng)
    elif isinstance(plain, list):
        _change_list(plain, rng)
    else:
        value = plain[key]
        if rng.random() < 0.5:
            del plain[key]
        plain[rng.choice((*_KEYS, key + key))] = copy.deepcopy(value)
    return plain


def _change_list(plain: list[Any], rng: random.Random) -> None:
    choice = rng.random()
    at = rng.randrange(len(plain))
    if choice < 0.3:
        del plain[at]
    elif choice < 0.6:
        plain.insert(at, copy.deepcopy(rng.choice((plain[at], rng.choice(VALUES)))))
    elif choice < 0.8:
        plain[at] = [plain[at]]
    elif len(plain) < 500:
        plain.extend(plain * rng.choice((1, 3, 20)))


def _other(plain: Any, rng: random.Random) -> Any:
    choice = rng.random()
    if choice < 0.1:
        return [plain]
    if choice < 0.15:
        for _ in range(rng.choice((5, 70, 300))):
            plain = [plain]
        return plain
    if choice < 0.3 and isinstance(plain, int | float) and not isinstance(plain, bool):
        return plain * rng.choice((-1, 2, 1000, 10**12))
    return copy.deepcopy(rng.choice(VALUES))  # so that nobody changes it for the next case
