"""What fuzzing found in the reading of connections, each as a client would meet it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fuzzing_parts.answers import Answer
from benchmarks.fuzzing_parts.connections import Client, Front
from benchmarks.fuzzing_parts.served import Served
from serving.http.messages import Exchange, Response
from serving.options import Limits, WorkerOptions

LIMITS = Limits(header_bytes=2000, body_bytes=100_000)
Handle = Callable[[Exchange], None]


def _run(play: Callable[[Front], Coroutine[Any, Any, Any]], handle: Handle | None = None) -> Any:
    async def inner() -> Any:
        front = Front(LIMITS, handle or _echo, asyncio.get_running_loop())
        try:
            return await play(front)
        finally:
            front.close()

    return asyncio.run(inner())


def _echo(exchange: Exchange) -> None:
    _say(exchange, exchange.request.target + b" " + bytes(exchange.request.body))


def _say(exchange: Exchange, text: bytes) -> None:
    exchange.respond(Response(200, text, content_type=b"text/plain"))


def _answers(*pieces: bytes, holds: bool = False, handle: Handle | None = None) -> list[Answer]:
    """What a client is told that sends this, waits, and is cut off in the end."""

    async def play(front: Front) -> list[Answer]:
        client = Client(front, asyncio.get_running_loop(), holds=holds)
        await client.send(pieces)
        await client.settle()
        answers = client.check(is_cut=False)
        await client.end()
        return answers

    found: list[Answer] = _run(play, handle)
    return found


def test_a_client_that_begins_another_request_in_the_same_packet_has_its_time_limited() -> None:
    async def play(front: Front) -> None:
        client = Client(front, asyncio.get_running_loop())
        await client.send([b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nG"])
        for exchange in asked:
            exchange.respond(Response(200))
        await client.settle()
        assert client.connection.deadline is not None
        await client.end()

    asked: list[Exchange] = []
    _run(play, asked.append)


def test_what_was_read_slowly_does_not_lift_the_time_limit_of_what_is_sent_slowly() -> None:
    assert len(_answers(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nG", holds=True)) == 1


def test_a_refused_client_that_read_slowly_does_not_stay_for_ever() -> None:
    assert [one.status for one in _answers(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", b"\xff\xff", holds=True)] == [
        200,
        400,
    ]


def test_an_upgrade_with_a_chunked_body_is_answered_once() -> None:
    raw = b"POST /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    assert [one.status for one in _answers(raw)] == [501]


def test_trailers_are_no_headers() -> None:
    def handle(exchange: Exchange) -> None:
        _say(exchange, b",".join(exchange.request.headers))

    raw = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-API-Key: k\r\nHost: b\r\n\r\n"
    assert [one.body for one in _answers(raw, handle=handle)] == [b"host,transfer-encoding"]


@pytest.mark.parametrize("piece", [b"X: y\r\n" * 100, b"z" * 1000])
def test_trailers_have_a_limit(piece: bytes) -> None:
    start = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: "
    assert [one.status for one in _answers(start, *[piece] * 20)] == [431]


def test_extensions_of_chunks_have_a_limit() -> None:
    start = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;"
    assert [one.status for one in _answers(start, *[b"e" * 1000] * 20)] == [431]


def test_a_body_in_chunks_of_one_byte_is_within_the_limit() -> None:
    start = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    (answer,) = _answers(start, *[b"1\r\nx\r\n" * 50] * 100, b"0\r\n\r\n")
    assert answer.status == 200 and answer.body == b"/a " + b"x" * 5000


def test_headers_that_come_twice_are_a_list() -> None:
    def handle(exchange: Exchange) -> None:
        _say(exchange, exchange.request.headers[b"content-encoding"])

    raw = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Encoding: deflate\r\n\r\n"
    assert [one.body for one in _answers(raw, handle=handle)] == [b"gzip, deflate"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"http://a:80/b?c=d", b"/b?c=d"),
        (b"HTTPS://a", b"/"),
        (b"http://a?c", b"/?c"),
        (b"/http://a/b", b"/http://a/b"),
        (b"*", b"*"),
    ],
)
def test_targets_may_name_the_host(target: bytes, expected: bytes) -> None:
    (answer,) = _answers(b"OPTIONS %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    assert answer.body == expected + b" "


def test_a_client_of_http_1_0_is_not_told_to_continue() -> None:
    async def play(front: Front) -> bytes:
        client = Client(front, asyncio.get_running_loop())
        await client.send([b"POST /a HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx"])
        return b"".join(client.transport.sent)

    assert _run(play).startswith(b"HTTP/1.1 200")


def _asked(folder: Path, path: bytes, body: bytes = b"", headers: bytes = b"", method: bytes = b"POST") -> Answer:
    """One request to the real routes."""

    async def play() -> Answer:
        loop = asyncio.get_running_loop()
        served = Served(folder, WorkerOptions(endpoint="", threads=1), loop)
        front = Front(Limits(), served.routes.handle, loop)
        client = Client(front, loop)
        head = b"%b %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n" % (method, path, len(body), headers)
        await client.send([head + body])
        await client.settle()
        front.close()
        served.close()
        (answer,) = client.check(is_cut=False)
        return answer

    return asyncio.run(play())


def test_the_id_of_an_open_inference_request_cannot_write_headers(tmp_path: Path) -> None:
    tensor = b'{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}'
    body = b'{"id": "a\\r\\nX-Evil: yes", "inputs": [%b]}' % tensor
    answer = _asked(tmp_path, b"/v2/models/rows/infer", body, b"X-Request-Id: own\r\n")
    assert answer.header(b"x-evil") is None and answer.header(b"x-request-id") == b"own"


def test_lists_deeper_than_an_array_can_be_are_refused(tmp_path: Path) -> None:
    answer = _asked(tmp_path, b"/v1/models/any:predict", b'{"inputs": ' + b"[" * 100 + b"1" + b"]" * 100 + b"}")
    assert answer.status == 400 and b'\\"x\\" has 100 dimensions, at most 32' in answer.body


@pytest.mark.parametrize(("version", "status"), [(b"3", 200), (b"9", 404), (b"79007199254740993", 404), (b"x", 400)])
def test_a_version_that_nobody_knows_is_no_fault_of_the_servers(tmp_path: Path, version: bytes, status: int) -> None:
    assert _asked(tmp_path, b"/v2/models/rows/versions/%b/ready" % version, method=b"GET").status == status
