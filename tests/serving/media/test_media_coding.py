"""Content codings: what clients send is undone within limits, what they like is done."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.media import coding
from serving.media.errors import MediaError

LIMIT = 1_000_000
TEXT = b'{"instances": [[1.0, 2.0, 3.0]]}' * 100


def gzipped(content: bytes, level: int = 9) -> bytes:
    """The same each time: the time of day is no part of it, nor of the tests' names."""
    return gzip.compress(content, level, mtime=0)


def raw_deflate(body: bytes) -> bytes:
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(body) + machine.flush()


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        (b"gzip", gzipped(TEXT)),
        (b"x-gzip", gzipped(TEXT)),
        (b"GZip", gzipped(TEXT)),
        (b"deflate", zlib.compress(TEXT)),
        (b"deflate", raw_deflate(TEXT)),
        (b"identity", TEXT),
        (b"", TEXT),
        (b"gzip, identity", gzipped(TEXT)),
        (b"gzip, gzip", gzipped(gzipped(TEXT))),
        (b"deflate, gzip", gzipped(zlib.compress(TEXT))),
        (b"gzip", gzipped(TEXT[:100]) + gzipped(TEXT[100:])),
    ],
)
def test_what_was_coded_is_there_again(header: bytes, sent: bytes) -> None:
    assert coding.decode(header, sent, LIMIT) == TEXT
    assert coding.quick(header, sent, LIMIT) == TEXT


@pytest.mark.parametrize(
    ("header", "sent", "status", "message"),
    [
        (b"br", b"x", 415, "'br' is not supported"),
        (b"gzip, zstd", b"x", 415, "'zstd' is not supported"),
        (b"gzip, gzip, gzip, gzip", b"x", 415, "names 4 codings, at most 3"),
        (b"gzip", gzipped(TEXT)[:-1], 400, "ends early"),
        (b"gzip", gzipped(TEXT)[:5], 400, "ends early"),
        (b"gzip", gzipped(TEXT) + b"{}", 400, "2 bytes stand behind the end of the gzip body"),
        (b"gzip", TEXT, 400, "is no gzip"),
        (b"gzip", gzipped(TEXT)[:-8] + bytes(8), 400, "is no gzip"),
        (b"deflate", zlib.compress(TEXT)[:-2], 400, "ends early"),
        (b"deflate", zlib.compress(TEXT) + b"x", 400, "1 bytes stand behind"),
        (b"deflate", b"\xff" + TEXT, 400, "is no deflate"),
        (b"gzip", gzipped(b"") * 10_000, 400, "too many members"),
    ],
)
def test_what_is_refused(header: bytes, sent: bytes, status: int, message: str) -> None:
    with pytest.raises(MediaError, match=message) as refused:
        coding.decode(header, sent, LIMIT)
    assert refused.value.status == status
    assert refused.value.headers == (coding.SUPPORTED if status == 415 else b"")
    assert not refused.value.is_found


def no_length(bomb: bytes) -> bytes:
    """A bomb that lies about its length."""
    return bomb[:-4] + bytes(4)


@pytest.mark.parametrize(
    ("header", "bomb"),
    [
        (b"gzip", gzipped(bytes(200_000_000), 9)),
        (b"gzip", no_length(gzipped(bytes(200_000_000), 9))),
        (b"deflate", zlib.compress(bytes(200_000_000), 9)),
        (b"gzip, gzip", gzipped(no_length(gzipped(bytes(200_000_000), 9)))),
    ],
    ids=["honest", "lying", "deflate", "twice"],
)
def test_a_bomb_is_refused_with_bounded_memory(header: bytes, bomb: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MediaError, match="longer than 4000000 bytes") as refused:
            coding.decode(header, bomb, 4_000_000)
        assert tracemalloc.get_traced_memory()[1] < 7_000_000
    finally:
        tracemalloc.stop()
    assert refused.value.status == 413


def test_a_body_as_long_as_the_limit_is_taken() -> None:
    assert len(coding.decode(b"gzip", gzipped(bytes(LIMIT)), LIMIT)) == LIMIT
    with pytest.raises(MediaError):
        coding.decode(b"gzip", gzipped(bytes(LIMIT + 1)), LIMIT)


def test_the_quick_way_leaves_what_takes_long_to_a_thread() -> None:
    assert coding.quick(b"gzip", gzipped(bytes(900_000)), LIMIT) is None
    assert coding.quick(b"identity", bytes(900_000), LIMIT) is None
    with pytest.raises(MediaError) as refused:  # over the limit itself: no thread would find otherwise
        coding.quick(b"gzip", gzipped(bytes(2000)), 1000)
    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"", "identity"),
        (b"gzip", "gzip"),
        (b"gzip, deflate, br", "gzip"),
        (b"deflate", "deflate"),
        (b"gzip;q=0.5, deflate;q=0.8", "deflate"),
        (b"gzip;q=0", "identity"),
        (b"gzip;q=0.000, *", "deflate"),
        (b"*", "gzip"),
        (b"*;q=0", "identity"),
        (b"br", "identity"),
        (b"identity", "identity"),
        (b"identity;q=0.5, gzip;q=0.4", "identity"),
        (b"identity;q=0.5, gzip;q=0.6", "gzip"),
        (b"identity;q=0", "identity"),
        (b"GZIP ; Q=1.0", "gzip"),
        (b"gzip;q=7", "identity"),
        (b",,;;q=,\xff", "identity"),
    ],
)
def test_what_a_client_likes_best(header: bytes, name: str) -> None:
    assert coding.chosen(header) == name


def test_answers_are_compressed_where_it_helps() -> None:
    body, headers = coding.encode(TEXT, b"application/json", b"gzip")
    assert gzip.decompress(body) == TEXT
    assert headers == b"Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"
    body, headers = coding.encode(TEXT, b"text/csv; charset=utf-8", b"deflate")
    assert zlib.decompress(body) == TEXT and b"Content-Encoding: deflate\r\n" in headers
    assert coding.encode(TEXT, b"application/json", b"") == (TEXT, coding.VARY)
    assert coding.encode(TEXT[:1000], b"application/json", b"gzip") == (TEXT[:1000], b"")
    assert coding.encode(TEXT, b"application/x-npy", b"gzip") == (TEXT, b"")
    noise = os.urandom(5000)
    assert coding.encode(noise, b"text/plain", b"gzip") == (noise, coding.VARY)


@settings(max_examples=300, deadline=None)
@given(
    header=st.sampled_from([b"gzip", b"deflate", b"gzip, deflate", b"deflate, gzip"]) | st.binary(max_size=30),
    content=st.binary(max_size=2000),
    cut=st.integers(0, 100),
    junk=st.binary(max_size=20),
    begins=st.sampled_from([b"", b"\x1f\x8b\x08\x00", b"\x78\x9c"]),
)
def test_nothing_but_the_documented_error(header: bytes, content: bytes, cut: int, junk: bytes, begins: bytes) -> None:
    packed = gzipped(content) if cut % 2 else zlib.compress(content)
    for body in (begins + content, packed[:cut] + junk + packed[cut:], packed + junk):
        with suppress(MediaError):
            assert len(coding.decode(header, body, 10_000)) <= 10_000
        coding.chosen(header)
