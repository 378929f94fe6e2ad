"""Valid requests made malformed: at the level of bytes, of tokens, of headers and of the message."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable

from benchmarks.fuzzing_parts import words
from benchmarks.fuzzing_parts.mutations import spoil, spoil_json
from benchmarks.fuzzing_parts.seeds import Message

Change = Callable[[Message, random.Random], None]


def _length(message: Message, rng: random.Random) -> None:
    value = rng.choice([*words.NUMBERS, b"%d" % (len(message.body) + rng.choice((-1, 1, 5, 1000)))])
    if rng.random() < 0.5:
        message.set(b"Content-Length", value)
    else:
        message.headers.insert(rng.randrange(len(message.headers) + 1), (b"Content-Length", value))


def _coding(message: Message, rng: random.Random) -> None:
    message.headers.insert(rng.randrange(len(message.headers) + 1), (b"Transfer-Encoding", rng.choice(words.CODINGS)))


def _chunked(message: Message, rng: random.Random) -> None:
    """Sent in chunks, mostly as it should be."""
    if rng.random() < 0.9:
        message.set(b"Content-Length", None)
    message.set(b"Transfer-Encoding", b"chunked")
    chunks, at = [], 0
    while at < len(message.body):
        size = rng.choice((1, 7, 64, 5000))
        piece = message.body[at : at + size]
        head = rng.choice((b"%x", b"%X", b"0%x")) % len(piece)
        chunks.append(head + rng.choice(words.EXTENSIONS) + b"\r\n" + piece + b"\r\n")
        at += size
    end = rng.random()
    if end < 0.9:
        chunks.append(b"0" + rng.choice(words.EXTENSIONS) + b"\r\n" + rng.choice(words.TRAILERS) + b"\r\n")
    elif end < 0.95:
        chunks.append(rng.choice((b"ffffffffffffffff1\r\n", b"-1\r\n", b"\r\n", b"g\r\n", b"fffffff\r\nabc")))
    message.chunks = chunks


def _method(message: Message, rng: random.Random) -> None:
    message.method = rng.choice(words.METHODS)


def _target(message: Message, rng: random.Random) -> None:
    choice = rng.random()
    if choice < 0.5:
        message.target = rng.choice(words.TARGETS)
    elif choice < 0.6:
        message.target = rng.choice((b"http://localhost", b"HTTP://a:1", b"https://x@y")) + message.target
    elif choice < 0.7:
        message.target += rng.choice((b"?", b"?a=b", b"?\xff", b"#", b"?" + b"q" * 20_000, b"/", b" x"))
    elif choice < 0.8:
        at = rng.randrange(len(message.target) + 1)
        message.target = message.target[:at] + b"%%%02x" % rng.randrange(256) + message.target[at + 1 :]
    else:
        message.target = spoil(message.target, rng, 1)


def _version(message: Message, rng: random.Random) -> None:
    message.version = rng.choice(words.VERSIONS)


def _extra(message: Message, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 4))):
        message.headers.insert(rng.randrange(len(message.headers) + 1), rng.choice(words.EXTRA))


def _many(message: Message, rng: random.Random) -> None:
    message.headers += [(b"X-%d" % (number % 50), b"v") for number in range(rng.choice((100, 2000)))]


def _kind(message: Message, rng: random.Random) -> None:
    name, values = rng.choice(((b"Content-Type", words.TYPES), (b"Accept", words.ACCEPTS)))
    message.set(name, rng.choice(values))


def _packed(message: Message, rng: random.Random) -> None:
    """Compressed in layers, named rightly or not, whole or damaged."""
    names = []
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        name = rng.choice((b"gzip", b"deflate", b"deflate"))
        message.body = gzip.compress(message.body) if name == b"gzip" else zlib.compress(message.body)
        names.append(name)
    if rng.random() < 0.1:
        message.body = gzip.compress(bytes(rng.choice((10_000, 3_000_000))), 9)
        names = [b"gzip"]
    if rng.random() < 0.3:
        message.body = spoil(message.body, rng)
    if rng.random() < 0.2:
        rng.shuffle(names)
    message.set(b"Content-Encoding", b", ".join(names))
    _fit(message)


def _body(message: Message, rng: random.Random) -> None:
    kind = message.get(b"Content-Type") or b""
    is_json = message.body[:1] == b"{" and message.body[-1:] == b"}"
    if is_json and not kind and rng.random() < 0.65:
        message.body = spoil_json(message.body, rng)
    else:
        message.body = spoil(message.body, rng)
    _fit(message)


def _head_and_tail(message: Message, rng: random.Random) -> None:
    """The JSON in front of binary tensors changed, the rest kept."""
    length = message.get(b"Inference-Header-Content-Length")
    if length is None or not length.isdigit() or length == b"0":
        _body(message, rng)
        return
    head, tail = message.body[: int(length)], message.body[int(length) :]
    head = spoil_json(head, rng) if rng.random() < 0.8 else head
    tail = spoil(tail, rng) if rng.random() < 0.4 else tail
    message.body = head + tail
    message.set(b"Inference-Header-Content-Length", b"%d" % (len(head) + rng.choice((0, 0, 0, 0, 1, -1, 99))))
    _fit(message)


def _other_body(message: Message, rng: random.Random) -> None:
    message.body = rng.choice(
        (
            b"",
            b"{}",
            b"[]",
            b"null",
            b" ",
            b"\xef\xbb\xbf{}",
            b"x" * 100_000,
            b"[" * 60_000,
            b"\x93NUMPY",
            b"PK\x03\x04",
        )
    )
    _fit(message)


def _fit(message: Message) -> None:
    if message.get(b"Content-Length") is not None:
        message.set(b"Content-Length", b"%d" % len(message.body))


CHANGES: list[tuple[int, Change]] = [
    (30, _body),
    (14, _head_and_tail),
    (3, _other_body),
    (6, _target),
    (5, _extra),
    (5, _kind),
    (5, _chunked),
    (4, _packed),
    (3, _length),
    (3, _coding),
    (3, _method),
    (2, _version),
    (1, _many),
]
_WEIGHTS = [weight for weight, _ in CHANGES]
_CHANGES = [change for _, change in CHANGES]


def mutate(message: Message, rng: random.Random) -> Message:
    """A changed copy."""
    made = message.copy()
    for change in rng.choices(_CHANGES, _WEIGHTS, k=rng.choice((1, 1, 1, 2, 3))):
        change(made, rng)
    if rng.random() < 0.01:
        made.line_end = b"\n"
    return made
