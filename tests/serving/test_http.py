"""The connection: order, limits, slow and odd clients. A listener in a thread, a handler of ours, real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from serving.http.listener import Listener
from serving.http.messages import Exchange, Response
from serving.options import Limits
from tests.serving.waiting import refuses, wait_for

LIMITS = Limits(
    header_bytes=2048,
    body_bytes=100_000,
    header_seconds=0.5,
    stall_seconds=0.5,
    idle_seconds=0.7,
    connections=3,
    pipelined=4,
)


class Place:
    """A listener on a free port. `/wait` is answered when the test says so, everything else at once with its own body."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.loop = asyncio.new_event_loop()
        self.waiting: list[Exchange] = []
        self.abandoned = 0
        self.answered: list[tuple[bytes, int]] = []
        self.bodies: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.listener: Listener = self.call(lambda: Listener(limits, self._handle, self.loop, self._tell))
        self.call(lambda: self.listener.accept_from(self.socket))

    def call(self, function: Callable[[], Any]) -> Any:
        async def inside() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(inside(), self.loop).result(10)

    def _handle(self, exchange: Exchange) -> None:
        self.bodies.append(exchange.request.body)
        if exchange.request.target.startswith(b"/wait"):
            self.waiting.append(exchange)
            exchange.on_abandon = self._abandon
        elif exchange.request.target == b"/big":
            exchange.respond(Response(200, b"x" * 20_000_000))
        else:
            exchange.respond(Response(200, exchange.request.method + b" " + exchange.request.target))

    def _tell(self, exchange: Exchange, status: int) -> None:
        self.answered.append((exchange.request.target, status))

    def _abandon(self) -> None:
        self.abandoned += 1

    def drain(self, seconds: float) -> bool:
        return bool(asyncio.run_coroutine_threadsafe(self.listener.drain(seconds), self.loop).result(20))

    def connect(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def ask(self, *pieces: bytes) -> bytes:
        """Send raw bytes and read until the server closes."""
        with self.connect() as client:
            for piece in pieces:
                client.sendall(piece)
            return read_all(client)

    def end(self) -> None:
        self.drain(0)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def read_all(client: socket.socket) -> bytes:
    found = b""
    while piece := client.recv(65536):
        found += piece
    return found


def statuses(raw: bytes) -> list[int]:
    return [int(part[:3]) for part in raw.split(b"HTTP/1.1 ")[1:]]


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.end()


LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def test_answers_come_in_the_order_of_the_requests(place: Place) -> None:
    with place.connect() as client:
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n" + b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n" + LAST)
        wait_for(lambda: len(place.bodies) == 3)
        place.call(lambda: place.waiting[0].respond(Response(200, b"first")))
        raw = read_all(client)
    assert [raw.index(b"first"), raw.index(b"/second"), raw.index(b"/last")] == sorted(
        [raw.index(b"first"), raw.index(b"/second"), raw.index(b"/last")]
    )
    assert statuses(raw) == [200, 200, 200]


def test_many_pipelined_requests_are_all_answered(place: Place) -> None:
    raw = place.ask(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n" * 200 + LAST)
    assert statuses(raw) == [200] * 201


def test_a_request_may_come_byte_by_byte_and_chunked(place: Place) -> None:
    head = b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    pieces = [bytes([byte]) for byte in head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"]
    assert statuses(place.ask(*pieces)) == [200]
    assert place.bodies == [b"abcde"]


def test_expect_100_continue_is_answered_before_the_body(place: Place) -> None:
    with place.connect() as client:
        client.sendall(
            b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"abc")
        assert statuses(read_all(client)) == [200]


def test_other_expectations_are_417(place: Place) -> None:
    raw = place.ask(b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: a-miracle\r\n\r\n")
    assert statuses(raw) == [417]


def test_a_body_that_says_it_is_too_great_is_413_before_it_is_sent(place: Place) -> None:
    raw = place.ask(b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\nExpect: 100-continue\r\n\r\n")
    assert statuses(raw) == [413]
    assert b"100000 bytes" in raw


def test_a_chunked_body_that_grows_too_great_is_413_and_the_client_can_read_why(place: Place) -> None:
    with place.connect() as client:
        client.sendall(b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(20):
            client.sendall(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
        assert statuses(read_all(client)) == [413]


@pytest.mark.parametrize(
    "head", [b"GET /" + b"a" * 3000, b"GET / HTTP/1.1\r\nX: " + b"a" * 3000, b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 600]
)
def test_too_many_header_bytes_are_431(place: Place, head: bytes) -> None:
    assert statuses(place.ask(head)) == [431]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GARBAGE\r\n\r\n",
        b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    ],
)
def test_what_is_no_http_is_400_and_ends_the_connection(place: Place, raw: bytes) -> None:
    assert statuses(place.ask(raw)) == [400]


def test_a_mistake_behind_good_requests_is_told_after_their_answers(place: Place) -> None:
    with place.connect() as client:
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\nGARBAGE\r\n\r\n")
        wait_for(lambda: place.waiting)
        place.call(lambda: place.waiting[0].respond(Response(200, b"first")))
        assert statuses(read_all(client)) == [200, 400]


def test_a_request_that_does_not_arrive_is_408(place: Place) -> None:
    assert statuses(place.ask(b"GET / HTTP/1.1\r\nHo")) == [408]
    assert statuses(place.ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")) == [408]


def test_a_connection_that_says_nothing_is_closed(place: Place) -> None:
    assert place.ask() == b""


def test_an_idle_connection_is_closed_after_its_time(place: Place) -> None:
    with place.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert statuses(read_all(client)) == [200]


def test_a_client_that_does_not_read_is_cut_off(place: Place) -> None:
    with place.connect() as client:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: place.listener.connections == 0)


def test_head_has_the_length_but_not_the_body(place: Place) -> None:
    raw = place.ask(b"HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"Content-Length: 7\r\n" in raw
    assert raw.endswith(b"\r\n\r\n")


def test_http_1_0_closes_unless_it_asks(place: Place) -> None:
    raw = place.ask(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + b"GET /b HTTP/1.0\r\n\r\n")
    assert statuses(raw) == [200, 200]
    assert raw.count(b"Connection: keep-alive") == 1
    assert raw.count(b"Connection: close") == 1


def test_an_upgrade_is_declined_by_a_plain_answer_to_the_whole_request(place: Place) -> None:
    head = b"POST /p HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 6\r\n\r\nabc"
    assert statuses(place.ask(head, b"def")) == [200]
    assert place.bodies == [b"abcdef"]


def test_a_client_that_shuts_its_side_still_gets_its_answer(place: Place) -> None:
    with place.connect() as client:
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        wait_for(lambda: place.waiting)
        place.call(lambda: place.waiting[0].respond(Response(200, b"late")))
        assert read_all(client).endswith(b"late")


def test_a_request_whose_client_left_is_abandoned(place: Place) -> None:
    with place.connect() as client:
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for(lambda: place.waiting)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_for(lambda: place.abandoned == 1)
    place.call(lambda: place.waiting[0].respond(Response(200)))  # too late: nobody is told twice
    assert place.answered == [(b"/wait", 499)]


def test_each_answer_is_told_once_with_its_status(place: Place) -> None:
    place.ask(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", LAST)
    assert place.answered == [(b"/a", 200), (b"/last", 200)]


def test_more_connections_than_allowed_wait_for_their_turn(place: Place) -> None:
    held = [place.connect() for _ in range(3)]
    wait_for(lambda: place.listener.connections == 3)
    with place.connect() as client:
        client.sendall(LAST)
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(100)
        client.settimeout(10)
        held[0].close()
        assert statuses(read_all(client)) == [200]
    for one in held:
        one.close()


class TestDrain:
    def test_what_is_in_flight_is_answered_and_says_close(self, place: Place) -> None:
        with place.connect() as client:
            client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_for(lambda: place.waiting)
            draining = asyncio.run_coroutine_threadsafe(place.listener.drain(10), place.loop)
            wait_for(lambda: refuses(place.port))
            assert not draining.done()
            place.call(lambda: place.waiting[0].respond(Response(200, b"done")))
            assert b"Connection: close" in read_all(client)
            assert draining.result(5)

    def test_what_takes_longer_is_cut_off(self, place: Place) -> None:
        with place.connect() as client:
            client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_for(lambda: place.waiting)
            began = time.monotonic()
            assert not place.drain(0.2)
            assert time.monotonic() - began < 2
            with contextlib.suppress(ConnectionError):
                assert read_all(client) == b""
