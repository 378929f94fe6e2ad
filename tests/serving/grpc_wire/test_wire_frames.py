"""What a connection says to frames, good and bad: RFC 9113."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from serving.grpc.protos import health_pb2, reflection_v1_pb2
from serving.grpc.wire import frames
from serving.grpc.wire.connection import CONNECTION_WINDOW, STREAM_WINDOW
from serving.grpc.wire.frames import PREFACE, Why, frame, reset, settings, window_update
from serving.options import Limits
from tests.serving.grpc_wire.http2 import CHECKED, HELLO, LAST, Talk, asking, call, message

DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = (
    frames.DATA, frames.HEADERS, frames.RST_STREAM, frames.SETTINGS, frames.PING, frames.GOAWAY,
    frames.WINDOW_UPDATE, frames.CONTINUATION,
)  # fmt: skip
Run = Callable[..., None]
BEGUN = frame(HEADERS, frames.END_HEADERS, 1, asking())
WATCH = b"/grpc.health.v1.Health/Watch"
INFO = b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


async def answered(talk: Talk, *data: bytes) -> dict[bytes, bytes]:
    """The trailers of the call that the bytes make."""
    found = talk.say(*data) + await talk.later()
    last = [one for one in found if one.kind == HEADERS and one.flags & 1]
    assert len(last) == 1, found
    fields = {}
    for one in found:
        if one.kind == HEADERS:
            fields |= talk.fields(one)
    return fields


async def works(talk: Talk, number: int = 99) -> bool:
    return (await answered(talk, call(number)))[b"grpc-status"] == b"0"


def test_a_connection_begins_with_what_the_server_takes(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        hello, window = talk.greeting
        assert (
            hello.kind == SETTINGS and dict(frames.read_settings(hello.payload))[frames.MAX_CONCURRENT_STREAMS] == 1024
        )
        assert (window.kind, window.stream) == (WINDOW, 0)
        assert [(one.kind, one.flags) for one in talk.say(HELLO)] == [(SETTINGS, frames.ACK)]

    talk(inside, hello=b"")


def test_a_call_is_answered_whatever_pieces_it_comes_in(talk: Run) -> None:
    padded = frame(HEADERS, LAST & ~1 | 8 | 32, 1, b"\3" + b"\0\0\0\0\1" + asking() + b"\0\0\0")
    body = (
        frame(DATA, 8, 1, b"\2" + CHECKED[:3] + b"\0\0") + frame(DATA, 0, 1, CHECKED[3:]) + frame(DATA, 1 | 8, 1, b"\0")
    )
    block = asking()
    split = (
        frame(HEADERS, 0, 1, block[:5]) + frame(CONTINUATION, 0, 1, block[5:9]) + frame(CONTINUATION, 4, 1, block[9:])
    )
    trailers = frame(DATA, 0, 1, CHECKED) + frame(HEADERS, LAST, 1, b"\0\1a\1b")
    for whole in (call(1), padded + body, split + trailers):
        raw = HELLO + frame(0xBE, 3, 7, b"unknown") + frame(frames.PRIORITY, 0, 5, b"\0" * 5) + whole
        for size in (1, 2, 7, 13, len(raw)):

            async def inside(talk: Talk, raw: bytes = raw, size: int = size) -> None:
                pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
                fields = await answered(talk, *pieces)
                assert fields == {b":status": b"200", b"content-type": b"application/grpc", b"grpc-status": b"0"}

            talk(inside, hello=b"")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (frame(DATA, 0, 0, b"x"), Why.PROTOCOL_ERROR),
        (frame(DATA, 0, 3, b"x"), Why.PROTOCOL_ERROR),
        (BEGUN + frame(DATA, 8, 1, b"\x05abc"), Why.PROTOCOL_ERROR),
        (frame(HEADERS, 4, 0, asking()), Why.PROTOCOL_ERROR),
        (frame(HEADERS, 4, 2, asking()), Why.PROTOCOL_ERROR),
        (frame(HEADERS, 4 | 8, 1, b"\xff" + asking()), Why.PROTOCOL_ERROR),
        (frame(HEADERS, 4 | 8, 1, b""), Why.FRAME_SIZE_ERROR),
        (frame(HEADERS, 0, 1, asking()) + frame(PING, 0, 0, b"12345678"), Why.PROTOCOL_ERROR),
        (frame(HEADERS, 0, 1, asking()) + frame(CONTINUATION, 4, 3, b""), Why.PROTOCOL_ERROR),
        (frame(HEADERS, 0, 1, asking()) + frame(DATA, 0, 1, b""), Why.PROTOCOL_ERROR),
        (frame(CONTINUATION, 4, 1, b""), Why.PROTOCOL_ERROR),
        (frame(HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff"), Why.COMPRESSION_ERROR),
        (frame(HEADERS, 4, 1, b"\xbe"), Why.COMPRESSION_ERROR),
        (frame(HEADERS, 4, 1, b"\x80"), Why.COMPRESSION_ERROR),
        (frame(HEADERS, 4, 1, b"\x3f\xe2\x1f"), Why.COMPRESSION_ERROR),  # a table of 4097 bytes
        (call(1) + frame(HEADERS, 5, 1, asking()), Why.STREAM_CLOSED),
        (frame(RST, 0, 1, b"\0\0\0\0"), Why.PROTOCOL_ERROR),
        (frame(RST, 0, 0, b"\0\0\0\0"), Why.PROTOCOL_ERROR),
        (BEGUN + frame(RST, 0, 1, b"\0"), Why.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 1, b""), Why.PROTOCOL_ERROR),
        (frame(SETTINGS, 1, 0, b"\0" * 6), Why.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 0, b"\0" * 5), Why.FRAME_SIZE_ERROR),
        (settings((2, 2)), Why.PROTOCOL_ERROR),
        (settings((4, 1 << 31)), Why.FLOW_CONTROL_ERROR),
        (settings((5, 16383)), Why.PROTOCOL_ERROR),
        (frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2"), Why.PROTOCOL_ERROR),
        (frame(PING, 0, 0, b"1234567"), Why.FRAME_SIZE_ERROR),
        (frame(PING, 0, 1, b"12345678"), Why.PROTOCOL_ERROR),
        (frame(frames.PRIORITY, 0, 0, b"\0" * 5), Why.PROTOCOL_ERROR),
        (frame(WINDOW, 0, 0, b"\0\0\0\0"), Why.PROTOCOL_ERROR),
        (frame(WINDOW, 0, 0, b"\0\0\0"), Why.FRAME_SIZE_ERROR),
        (frame(WINDOW, 0, 1, b"\0\0\0\1"), Why.PROTOCOL_ERROR),
        (window_update(0, frames.MOST_WINDOW), Why.FLOW_CONTROL_ERROR),
        (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", Why.FRAME_SIZE_ERROR),
        (b"\x01\x00\x01\x01\x04\x00\x00\x00\x01", Why.ENHANCE_YOUR_CALM),  # HEADERS of 64 KB
        (frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, 0, 1, b"") * 100, Why.ENHANCE_YOUR_CALM),
        (frame(PING, 0, 0, b"12345678") * 600, Why.ENHANCE_YOUR_CALM),
        (settings() * 600, Why.ENHANCE_YOUR_CALM),
        (BEGUN + frame(DATA, 0, 1, b"") * 600, Why.ENHANCE_YOUR_CALM),
        (BEGUN + window_update(1, 1) * 3000, Why.ENHANCE_YOUR_CALM),
        (frame(0x77, 0, 0, b"") * 600, Why.ENHANCE_YOUR_CALM),
        (
            b"".join(frame(HEADERS, 4, one, asking(WATCH)) + reset(one, Why.CANCEL) for one in range(1, 1001, 2)),
            Why.ENHANCE_YOUR_CALM,
        ),
    ],
)  # fmt: skip
def test_a_fault_of_the_connection_ends_it_with_its_code(talk: Run, raw: bytes, why: Why) -> None:
    async def inside(talk: Talk) -> None:
        talk.heard()
        last = talk.say(raw)[-1]
        assert (last.kind, last.number) == (GOAWAY, why) and talk.transport.is_closed
        assert not talk.say(call(9001))

    talk(inside)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (BEGUN + frame(WINDOW, 0, 1, b"\0\0\0\0"), Why.PROTOCOL_ERROR),
        (BEGUN + window_update(1, frames.MOST_WINDOW), Why.FLOW_CONTROL_ERROR),
        (BEGUN + frame(HEADERS, 4, 1, b"\0\1a\1b"), Why.PROTOCOL_ERROR),  # trailers that do not end it
        (frame(frames.PRIORITY, 0, 1, b"\0"), Why.FRAME_SIZE_ERROR),
        (call(1, asking(b"/x", (b"A", b"b"))), Why.PROTOCOL_ERROR),
        (call(1, asking(b"/x", (b"a", b"b\n"))), Why.PROTOCOL_ERROR),
        (call(1, asking(b"/x", (b":path", b"/x"))), Why.PROTOCOL_ERROR),
        (call(1, asking(b"/x", (b"connection", b"close"))), Why.PROTOCOL_ERROR),
        (call(1, asking(te=b"gzip")), Why.PROTOCOL_ERROR),
        (call(1, asking(b"")), Why.PROTOCOL_ERROR),
        (call(1, asking(scheme=b"")), Why.PROTOCOL_ERROR),
        (call(1, asking(b"/grpc.health.v1.Health/Check", (b"content-length", b"4"))), Why.PROTOCOL_ERROR),
        (frame(HEADERS, 5, 1, asking(WATCH)[:0] + asking()) + frame(DATA, 1, 1, CHECKED), Why.STREAM_CLOSED),
    ],
)
def test_a_fault_of_a_stream_ends_it_alone(talk: Run, raw: bytes, why: Why) -> None:
    async def inside(talk: Talk) -> None:
        talk.heard()
        found = talk.say(raw)
        assert [one.number for one in found if one.kind == RST] == [why], found
        assert not [one for one in found if one.kind == GOAWAY]
        assert await works(talk)

    talk(inside)


@pytest.mark.parametrize(
    ("raw", "http", "status", "text"),
    [
        (call(1, asking(content_type=b"text/html")), b"415", b"3", b"content-type"),
        (call(1, asking(content_type=b"application/grpc+json")), b"415", b"3", b"content-type"),
        (call(1, asking(method=b"GET")), b"405", b"12", b"POST"),
        (call(1, asking(te=b"")), b"200", b"3", b"te: trailers"),
        (call(1, asking(b"/a/B")), b"200", b"12", b"/a/B"),
        (call(1, asking(b"/grpc.health.v1.Health/Check", (b"grpc-encoding", b"snappy"))), b"200", b"12", b"snappy"),
        (call(1, asking(b"/grpc.health.v1.Health/Check", (b"grpc-timeout", b"5"))), b"200", b"3", b"grpc-timeout"),
        (call(1, asking(b"/grpc.health.v1.Health/Check", (b"a-bin", b"!"))), b"200", b"3", b"a-bin"),
        (call(1, body=message(b"", 1)), b"200", b"3", b"grpc-encoding"),
        (call(1, body=message(b"", 2)), b"200", b"3", b"flag"),
        (call(1, body=b""), b"200", b"12", b"none came"),
        (call(1, body=CHECKED * 2), b"200", b"12", b"more came"),
        (call(1, body=CHECKED + b"\0"), b"200", b"3", b"cut off"),
        (call(1, body=message(b"12345")[:-1]), b"200", b"3", b"cut off"),
        (frame(HEADERS, LAST, 1, asking()), b"200", b"12", b"none came"),
        (call(1, asking(b"/x", *[(b"x", b"v" * 4000)] * 9)), b"431", b"8", b"32768"),
    ],
)
def test_what_is_no_call_is_refused_with_its_status(
    talk: Run, raw: bytes, http: bytes, status: bytes, text: bytes
) -> None:
    async def inside(talk: Talk) -> None:
        fields = await answered(talk, raw)
        assert (fields[b":status"], fields[b"grpc-status"]) == (http, status) and text in fields[b"grpc-message"]
        assert await works(talk)

    talk(inside)


def test_types_and_timeouts_that_are_meant(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        number = 1
        for kind in (b"application/grpc+proto", b"application/grpc;charset=utf-8", b"Application/gRPC"):
            assert (await answered(talk, call(number, asking(content_type=kind))))[b"grpc-status"] == b"0"
            number += 2
        for time in (b"99999999H", b"1M", b"5S", b"5000m", b"5000000u", b"99999999n"):
            block = asking(b"/grpc.health.v1.Health/Check", (b"grpc-timeout", time))
            assert (await answered(talk, call(number, block)))[b"grpc-status"] == b"0"
            number += 2

    talk(inside)


@pytest.mark.parametrize(("encoding", "packed"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_a_message_that_is_inflated(talk: Run, encoding: bytes, packed: Any) -> None:
    async def inside(talk: Talk) -> None:
        block = asking(b"/grpc.health.v1.Health/Check", (b"grpc-encoding", encoding))
        assert (await answered(talk, call(1, block, message(packed(b""), 1))))[b"grpc-status"] == b"0"
        assert (await answered(talk, call(3, block, CHECKED)))[b"grpc-status"] == b"0"  # it need not be
        for number, bad in enumerate((b"", b"no", packed(b"")[:-1], packed(b"") + b"x", packed(bytes(10_000_000)))):
            fields = await answered(talk, call(5 + 2 * number, block, message(bad, 1)))
            assert fields[b"grpc-status"] == (b"8" if number == 4 else b"3"), number

    talk(inside, most_message=1_000_000)


def test_answers_wait_for_the_windows_that_the_client_gives(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        block = asking(b"/grpc.health.v1.Health/List")
        found = talk.say(call(1, block, message(b""))) + await talk.later()
        assert [one.kind for one in found if one.kind in (DATA, HEADERS)] == [HEADERS]
        assert not talk.say(window_update(0, 1000))
        body = b""
        for size in (1, 4, 100):
            (piece,) = talk.say(window_update(1, size))
            assert piece.kind == DATA and len(piece.payload) == size
            body += piece.payload
        *pieces, last = talk.say(settings((4, 1 << 20)))
        body += b"".join(one.payload for one in pieces if one.kind == DATA)
        assert (last.kind, last.flags & 1) == (HEADERS, 1) and talk.fields(last) == {b"grpc-status": b"0"}
        assert body[:5] == b"\0" + len(body[5:]).to_bytes(4, "big")
        assert health_pb2.HealthListResponse.FromString(body[5:]).statuses["line"].status == 1

    talk(inside, hello=PREFACE + settings((4, 0)))


def test_frames_are_no_longer_than_the_client_takes(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        talk.say(frame(HEADERS, 4, 1, asking(INFO)))
        symbol = "tensorflow.serving.PredictionService"
        asked = reflection_v1_pb2.ServerReflectionRequest(file_containing_symbol=symbol).SerializeToString()
        talk.say(window_update(0, 1 << 20), *[frame(DATA, 0, 1, message(asked))] * 20)
        sizes = [len(one.payload) for one in await talk.later(200) if one.kind == DATA]
        assert sizes and max(sizes) <= 16384 and sum(sizes) > 60_000

    talk(inside, hello=PREFACE + settings((4, 1 << 20)))


def test_a_client_that_shrinks_its_table_is_told_so(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        found = [one for one in talk.say(call(1)) + await talk.later() if one.kind == HEADERS]
        assert found[0].payload[:1] == b"\x20" and found[1].payload[:1] != b"\x20"
        assert await works(talk)

    talk(inside, hello=PREFACE + settings((1, 0)))


def test_what_comes_is_granted_again_and_not_more_than_that(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        talk.heard()
        talk.say(frame(HEADERS, 4, 1, asking()), frame(DATA, 0, 1, message(bytes(50_000_000))[: 1 << 20]))
        piece, granted, own = frame(DATA, 0, 1, bytes(1 << 20)), 0, 0
        for _ in range(40):
            for one in talk.say(piece):
                granted += int.from_bytes(one.payload, "big") * (one.kind == WINDOW and one.stream == 0)
                own += int.from_bytes(one.payload, "big") * (one.kind == WINDOW and one.stream == 1)
        assert 41 << 20 >= granted >= (41 << 20) - (CONNECTION_WINDOW >> 1) - 1
        assert 41 << 20 >= own >= (41 << 20) - (STREAM_WINDOW >> 1) - 1
        assert talk.connection.held == 41 << 20 or talk.connection.held == (41 << 20) - 5

    talk(inside)


def test_what_is_held_of_a_connection_is_limited(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        found = []
        for number in range(1, 200, 2):
            found += talk.say(frame(HEADERS, 4, number, asking()), frame(DATA, 0, number, message(bytes(1 << 20))[:-9]))
        refused = [talk.fields(one) for one in found if one.kind == HEADERS]
        assert refused and all(one[b"grpc-status"] == b"8" for one in refused)
        assert talk.connection.held <= talk.connection.service.most_held == 64 << 20

    talk(inside, most_message=1 << 20)


def test_a_client_that_sends_on_is_told_that_nobody_reads_it(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        (refused,) = talk.say(frame(HEADERS, 4, 1, asking(b"/no/Such")))
        assert refused.flags & 1
        assert not talk.say(frame(DATA, 0, 1, bytes(60_000)))
        (cut,) = talk.say(frame(DATA, 0, 1, bytes(60_000)))
        assert (cut.kind, cut.number) == (RST, Why.NO_ERROR)
        assert not talk.say(frame(DATA, 0, 1, bytes(60_000)), frame(DATA, 1, 1, b""))
        assert await works(talk)
        assert [one.number for one in talk.say(frame(DATA, 0, 1, b"x"))] == [Why.STREAM_CLOSED]

    talk(inside)


def test_what_is_no_grpc_is_answered_when_it_is_whole_or_long(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        block = asking(content_type=b"text/plain")
        assert not talk.say(frame(HEADERS, 4, 1, block), frame(DATA, 0, 1, b"x" * 9), frame(HEADERS, 4, 3, block))
        (whole,) = talk.say(frame(DATA, 1, 1, b"x"))
        assert (whole.stream, talk.fields(whole)[b":status"]) == (1, b"415")
        assert not talk.say(frame(DATA, 0, 3, bytes(60_000)))
        (long,) = talk.say(frame(DATA, 0, 3, bytes(60_000)))
        assert (long.stream, talk.fields(long)[b":status"]) == (3, b"415")
        assert await works(talk)

    talk(inside)


def test_too_many_calls_at_once_are_refused_and_may_be_made_again(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        assert dict(frames.read_settings(talk.greeting[0].payload))[frames.MAX_CONCURRENT_STREAMS] == 2
        assert not talk.say(frame(HEADERS, 4, 1, asking()), frame(HEADERS, 4, 3, asking()))
        (refused,) = talk.say(frame(HEADERS, 4, 5, asking()))
        assert (refused.kind, refused.number) == (RST, Why.REFUSED_STREAM)
        assert not talk.say(frame(DATA, 1, 5, CHECKED))  # it was on its way
        assert (await answered(talk, frame(DATA, 1, 1, CHECKED)))[b"grpc-status"] == b"0"
        assert await works(talk)

    talk(inside, most_streams=2)


def test_many_deadlines_at_once_are_no_flood(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        for number in range(1, 1001, 2):
            talk.say(frame(HEADERS, 4, number, asking()))
        for stream in talk.connection.streams.values():
            stream.began -= 1  # they waited for a second
        talk.heard()
        assert not talk.say(*[reset(number, Why.CANCEL) for number in range(1, 1001, 2)])
        assert await works(talk, 1001)

    talk(inside)


def test_a_call_that_stands_still_is_ended(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        connection, now = talk.connection, talk.connection.service.now
        talk.say(frame(HEADERS, 4, 1, asking()), frame(DATA, 0, 1, CHECKED[:3]))
        talk.say(frame(HEADERS, 5, 3, asking(WATCH)[: -0 or None]), frame(HEADERS, 4, 5, asking(INFO)))
        talk.heard()
        connection.sweep(now + 29)
        assert not talk.heard()
        connection.sweep(now + 31)
        (trailers,) = talk.heard()
        assert trailers.stream == 1 and talk.fields(trailers)[b"grpc-status"] == b"4"
        connection.sweep(now + 80)
        assert talk.fields(talk.heard()[0])[b"grpc-status"] == b"4"  # the conversation in which nobody speaks

    talk(inside)


def test_an_idle_connection_is_ended_in_two_steps(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        connection, now = talk.connection, talk.connection.service.now
        assert await works(talk, 1)
        connection.sweep(now + 70)
        assert not talk.heard()
        connection.sweep(now + 80)
        goaway, ping = talk.heard()
        assert goaway.payload[:4] == b"\x7f\xff\xff\xff" and ping.kind == PING
        assert await works(talk, 3)  # it was on its way
        (second,) = talk.say(frame(PING, frames.ACK, 0, ping.payload))
        assert int.from_bytes(second.payload[:4], "big") == 3 and talk.transport.is_closed

    talk(inside)


def test_a_client_that_never_says_hello_is_sent_away(talk: Run) -> None:
    for begun in (
        b"",
        PREFACE[:5],
        PREFACE,
        HELLO + frame(HEADERS, 0, 1, b""),
        HELLO + frame(HEADERS, 0, 1, asking())[:9],
    ):

        async def inside(talk: Talk, begun: bytes = begun) -> None:
            talk.say(begun)
            talk.connection.sweep(talk.connection.service.now + Limits().header_seconds + 1)
            assert talk.transport.is_closed

        talk(inside, hello=b"")


def test_a_client_that_does_not_read_is_not_read_either_and_cut_off(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        connection, now = talk.connection, talk.connection.service.now
        connection.pause_writing()
        assert talk.transport.is_read_paused
        connection.sweep(now + 29)
        assert not talk.transport.is_closed
        connection.resume_writing()
        assert not talk.transport.is_read_paused and await works(talk)
        connection.pause_writing()
        connection.sweep(now + 62)
        assert talk.transport.is_closed

    talk(inside)


def test_http1_is_told_that_this_is_another_protocol(talk: Run) -> None:
    async def inside(talk: Talk) -> None:
        talk.heard()
        (last,) = talk.say(b"GET / HTTP/1.1\r\n\r\n")
        assert (last.kind, last.number) == (GOAWAY, Why.PROTOCOL_ERROR) and talk.transport.is_closed

    talk(inside, hello=b"")
