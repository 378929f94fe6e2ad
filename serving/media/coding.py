"""Content codings: gzip and deflate of requests and of answers (RFC 9110, sections 8.4 and 12.5.3)."""

from __future__ import annotations

import io
import zlib
from functools import lru_cache

from serving.media import accept
from serving.media.errors import MediaError

MOST_CODINGS = 3
LEAST_COMPRESSED = 1024
"""Answers below so many bytes go as they are: they fit into one packet anyway."""
QUICK_BYTES = 256 * 1024
"""Up to here a body is coded in under 2 ms; greater ones belong into a thread."""
SUPPORTED = b"Accept-Encoding: gzip, deflate, identity\r\n"
VARY = b"Vary: Accept-Encoding\r\n"

_GZIP, _ZLIB, _RAW = 31, 15, -15
_STEP = 256 * 1024
_LONGEST = 512
_FED = 64 * 1024
_MOST_RATIO = 1032  # of deflate: what claims more ends in something else than a length
_FREE_MEMBERS = 64
_LEAST_PER_MEMBER = 1024
_NAMES = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


class TooLongError(MediaError):
    """More than the limit: 413."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is longer than {limit} bytes once it is decompressed", status=413, is_found=False)


def decode(header: bytes, body: bytes, limit: int) -> bytes:
    """A request's body without its codings. Takes at most `limit` bytes of memory for each coding, and 3 ms a MB.

    Args:
        header: the value of `Content-Encoding`.
        limit: of the body after each coding [bytes].

    Raises:
        MediaError: 415 for a coding that is not known, 413 for more than `limit`, 400 for data that are cut off or damaged.
    """
    for name in reversed(_codings(header)):
        if body:
            body = _inflated(name, body, limit)
    return body


def quick(header: bytes, body: bytes, limit: int) -> bytes | None:
    """As `decode` if that takes less than about 2 ms; None where a thread should do it.

    Raises:
        MediaError: as `decode`.
    """
    if len(body) > QUICK_BYTES:
        return None
    try:
        return decode(header, body, min(limit, QUICK_BYTES))
    except TooLongError:
        if limit <= QUICK_BYTES:
            raise
        return None


@lru_cache(maxsize=64)
def _codings(header: bytes) -> tuple[str, ...]:
    names = [name.strip().lower() for name in header[:200].decode("latin-1").split(",")]
    wanted = [name for name in names if name not in ("", "identity")]
    for name in wanted:
        if name not in _NAMES:
            raise MediaError(
                f"Content-Encoding {name!r} is not supported: send gzip, deflate or the body as it is",
                status=415,
                is_found=False,
                headers=SUPPORTED,
            )
    if len(wanted) > MOST_CODINGS:
        raise MediaError(
            f"Content-Encoding names {len(wanted)} codings, at most {MOST_CODINGS} are undone",
            status=415,
            is_found=False,
            headers=SUPPORTED,
        )
    return tuple(_NAMES[name] for name in wanted)


def _inflated(name: str, body: bytes, limit: int) -> bytes:
    if name == "gzip":
        # A member's last four bytes are its own length: an honest body that is too long is refused before any work.
        if limit < int.from_bytes(body[-4:], "little") <= _MOST_RATIO * len(body):
            raise TooLongError(limit)
        window = _GZIP
    else:
        is_zlib = len(body) >= 2 and body[0] & 0x8F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
        window = _ZLIB if is_zlib else _RAW  # RFC 9110 means zlib's format, some clients send bare deflate
    try:
        return _Inflater(name, window, limit).inflate(body)
    except zlib.error:
        raise _damaged(f"the body is no {name}, as its Content-Encoding says") from None


class _Inflater:
    """Decompresses in steps, so that never more than the limit and one step is in memory."""

    def __init__(self, name: str, window: int, limit: int) -> None:
        self._name = name
        self._window = window
        self._limit = limit
        # Its getvalue() hands over the memory that was written to, where joining pieces would need it twice.
        self._out = io.BytesIO()
        self._size = 0
        self._members = 0

    def inflate(self, body: bytes) -> bytes:
        view, at = memoryview(body), 0
        while at < len(body):
            if self._members and self._window != _GZIP:
                raise _damaged(f"{len(body) - at} bytes stand behind the end of the {self._name} body")
            at = self._member(view, at)
            self._members += 1
            if self._members > _FREE_MEMBERS and self._size < self._members * _LEAST_PER_MEMBER:
                raise _damaged("the gzip body has too many members of next to no content")
        return self._out.getvalue()

    def _member(self, view: memoryview, at: int) -> int:
        """Decompress what begins at `at`; where it ends. gzip allows several, one behind the other (RFC 1952, section 2.2)."""
        if self._members and bytes(view[at : at + 2]) != b"\x1f\x8b":
            raise _damaged(f"{len(view) - at} bytes stand behind the end of the gzip body")
        machine = zlib.decompressobj(self._window)
        while not machine.eof:
            if at >= len(view):
                raise _damaged(f"the {self._name} body ends early: it is cut off")
            piece = view[at : at + _FED]
            at += len(piece)
            self._write(machine.decompress(piece, _STEP))
            while machine.unconsumed_tail and not machine.eof:
                self._write(machine.decompress(machine.unconsumed_tail, _STEP))
        return at - len(machine.unused_data)

    def _write(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise TooLongError(self._limit)
        self._out.write(data)


def _damaged(message: str) -> MediaError:
    return MediaError(message, is_found=False)


# Answers


def is_compressible(content_type: bytes) -> bool:
    """Whether a body of this type gets much shorter: texts do, numbers and pictures do not."""
    return content_type.startswith((b"application/json", b"text/", b"application/vnd.oai.openapi"))


def chosen(accept_encoding: bytes) -> str:
    """The coding that a client likes best among ours: `gzip`, `deflate`, or `identity` where it has no wish."""
    return _chosen(accept_encoding[:_LONGEST]) if accept_encoding else "identity"


@lru_cache(maxsize=256)
def _chosen(accept_encoding: bytes) -> str:
    weights = {item.name: item.weight for item in accept.items(accept_encoding)}
    rest = weights.get("*", 0.0)
    gzip = weights.get("gzip", weights.get("x-gzip", rest))
    deflate = weights.get("deflate", rest)
    # Not named, `identity` is allowed but not asked for; forbidden, it is still what is left where nothing else is.
    identity = weights.get("identity", 0.0)
    best = max(gzip, deflate)
    if best <= 0 or identity > best:
        return "identity"
    return "gzip" if gzip >= deflate else "deflate"


def encode(body: bytes, content_type: bytes, accept_encoding: bytes) -> tuple[bytes, bytes]:
    """An answer's body in the coding that the client likes best, and the header lines that go with it. 8 ms a MB.

    Cookies or secrets are never part of an answer, so that its length tells nothing (BREACH).
    """
    if len(body) < LEAST_COMPRESSED or not is_compressible(content_type) or body.startswith(b"\x1f\x8b"):
        return body, b""
    name = chosen(accept_encoding)
    if name == "identity":
        return body, VARY
    short = zlib.compress(body, 1, _GZIP if name == "gzip" else _ZLIB)
    if len(short) >= len(body):
        return body, VARY
    return short, b"Content-Encoding: %b\r\n%b" % (name.encode(), VARY)
