"""Requests whose head came before are read as those that come for the first time."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.http.heads import KEPT, SEEN, Head, Heads
from tests.serving.test_http import LAST, LIMITS, Place, statuses
from tests.serving.waiting import wait_for


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.end()


def post(body: bytes, name: bytes = b"Content-Length") -> bytes:
    return b"POST /p HTTP/1.1\r\nHost: a\r\n%b: %d\r\nX-Own: b\r\n\r\n%b" % (name, len(body), body)


GET = b"GET /g HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("name", [b"Content-Length", b"content-length", b"cOnTeNt-LeNgTh"])
def test_bodies_of_any_length_arrive_whole_however_they_are_cut(place: Place, name: bytes) -> None:
    chance = random.Random(7)
    bodies = [bytes(chance.randbytes(chance.choice([0, 1, 5, 700, 40_000]))) for _ in range(60)]
    raw = b"".join(post(body, name) + (GET if index % 3 == 0 else b"") for index, body in enumerate(bodies)) + LAST
    pieces, at = [], 0
    while at < len(raw):
        size = chance.choice([1, 3, 50, 900, 30_000])
        pieces.append(raw[at : at + size])
        at += size
    answered = place.ask(*pieces)
    assert statuses(answered) == [200] * (60 + 20 + 1)
    assert [body for body in place.bodies if body] == [body for body in bodies if body]
    assert answered.count(b"POST /p") == 60


def test_limits_hold_for_them_too(place: Place) -> None:
    small, great = post(b"x"), post(b"x" * (LIMITS.body_bytes + 1))
    assert statuses(place.ask(small * 4 + great)) == [200] * 4 + [413]
    cut = post(b"x" * 50_000)[:-1]
    assert statuses(place.ask(small * 4 + cut)) == [200] * 4 + [408]


@pytest.mark.parametrize(
    "head",
    [
        b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\nx",
        b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    ],
)
def test_what_is_refused_the_first_time_is_refused_the_tenth(place: Place, head: bytes) -> None:
    good = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
    for _ in range(3):
        assert statuses(place.ask(good * 3 + head)) == [200, 200, 200, 400]


def test_what_is_unusual_is_left_to_the_parser(place: Place) -> None:
    chunked = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    expecting = b"POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok"
    answered = place.ask(*([chunked] * 4), *([expecting] * 4), LAST)
    assert answered.count(b"HTTP/1.1 200") == 9
    assert answered.count(b"100 Continue") == 4
    assert place.bodies[:8] == [b"abc"] * 4 + [b"ok"] * 4


def test_nobody_waits_for_a_request_that_breaks_off(place: Place) -> None:
    for _ in range(4):
        with place.connect() as client:
            client.sendall(post(b"abc") * 3 + post(b"abcdef")[:-3])
    wait_for(lambda: place.call(lambda: place.listener.connections) == 0)
    assert statuses(place.ask(post(b"x"), LAST)) == [200, 200]


@settings(max_examples=300)
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=40), st.binary(max_size=60))
def test_only_what_was_learned_twice_is_found(learned: list[bytes], asked: bytes) -> None:
    heads = Heads()
    times: dict[bytes, int] = {}
    for raw in learned:
        data = raw + b"\r\n\r\n"
        key = data[: data.find(b"\r\n\r\n")]
        times[key] = times.get(key, 0) + 1
        heads.learn(data, Head(b"GET", raw, {}))
    found = heads.find(asked + b"\r\n\r\n")
    key = (asked + b"\r\n\r\n")[: (asked + b"\r\n\r\n").find(b"\r\n\r\n")]
    assert found is None or times.get(key, 0) >= 2


def test_clients_that_never_repeat_themselves_fill_nothing() -> None:
    heads = Heads()
    for number in range(3 * SEEN):
        data = b"GET /%d HTTP/1.1\r\n\r\n" % number
        heads.learn(data, Head(b"GET", b"/", {}))
        assert heads.find(data) is None
    for number in range(3 * KEPT):
        data = b"GET /x%d HTTP/1.1\r\n\r\n" % number
        heads.learn(data, Head(b"GET", b"/", {}))
        heads.learn(data, Head(b"GET", b"/", {}))
        assert heads.find(data) is not None
    assert len(heads._kept) <= KEPT and len(heads._seen) <= SEEN
