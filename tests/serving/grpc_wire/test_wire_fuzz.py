"""Whatever comes: never an exception, always frames that can be read, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
import random
import tracemalloc
from collections.abc import Callable

import pytest

from serving.grpc.wire import frames
from serving.grpc.wire.frames import PREFACE, frame, settings, window_update
from serving.grpc.wire.service import Wire
from tests.serving.grpc_wire.conftest import wired
from tests.serving.grpc_wire.http2 import CHECKED, HELLO, LAST, Talk, asking, call, message

INFO = b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
PREDICT = b"/tensorflow.serving.PredictionService/Predict"
_BLOCKS = [
    asking(), asking(INFO), asking(PREDICT), asking(b"/grpc.health.v1.Health/Watch"), asking(b"/no/Such"),
    asking(PREDICT, (b"grpc-encoding", b"gzip"), (b"grpc-timeout", b"1u")), b"\x83\x86\xbe", b"\x40\1a\1b", b"",
]  # fmt: skip
_GOOD_BLOCKS = [_BLOCKS[number] for number in (0, 0, 1, 1, 2, 3, 4, 5)] + [
    asking() + b"\x40\1a\1b", asking(b"/grpc.health.v1.Health/List"), asking(method=b"GET"),
]  # fmt: skip
_BODIES = [
    CHECKED,
    b"",
    message(b"\xff" * 30),
    message(b"x", 1),
    message(b"", 7),
    b"\0\xff\xff\xff\xff",
    b"\0\0",
    CHECKED * 3,
]


def _odd(rng: random.Random) -> bytes:
    """A frame that may be anything."""
    number = rng.choice((0, 1, 1, 1, 3, 3, 5, 7, 2, 9, 2**31 - 1))
    if rng.random() < 0.3:
        return frame(rng.randrange(12), rng.randrange(256), number, rng.randbytes(rng.choice((0, 1, 4, 5, 6, 8, 60))))
    flags = rng.choice((0, 1, 4, 5, 5, 4, 8, 13, 45))
    odd: tuple[Callable[[], bytes], ...] = (
        lambda: frame(frames.HEADERS, flags, number, rng.choice(_BLOCKS)),
        lambda: frame(frames.DATA, flags, number, rng.choice(_BODIES)),
        lambda: frame(frames.CONTINUATION, flags, number, rng.choice(_BLOCKS)),
        lambda: frame(frames.RST_STREAM, 0, number, rng.randbytes(4)),
        lambda: window_update(number, rng.choice((0, 1, 5, 2**31 - 1))),
        lambda: settings((rng.randrange(8), rng.choice((0, 1, 5, 16384, 2**31 - 1, 2**32 - 1)))),
        lambda: frame(frames.PRIORITY, 0, number, b"\0\0\0\1\2"),
    )
    return rng.choice(odd)()


class _Speaker:
    """Says what may be said, mostly."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._next = 1
        self._open: list[int] = []

    def frame(self) -> bytes:
        rng = self._rng
        if rng.random() < 0.04:
            return _odd(rng)
        said: tuple[Callable[[], bytes], ...] = (
            self._begin, self._begin, self._whole, self._whole, self._more, self._more, self._cut, self._window,
            lambda: settings((rng.choice((1, 3, 4, 6)), rng.choice((0, 1, 20, 70_000)))),
            lambda: frame(frames.PING, rng.randrange(2), 0, b"skylift!"),
            lambda: frame(frames.GOAWAY, 0, 0, bytes(8)),
            lambda: frame(0x40, 0, rng.randrange(4), b"?"),
        )  # fmt: skip
        return rng.choice(said)()

    def _number(self) -> int:
        self._next += 2
        return self._next - 2

    def _block(self) -> bytes:
        return self._rng.choice(_GOOD_BLOCKS)

    def _whole(self) -> bytes:
        return call(self._number(), self._block(), self._rng.choice(_BODIES))

    def _begin(self) -> bytes:
        number, block, rng = self._number(), self._block(), self._rng
        if rng.random() < 0.8:
            self._open.append(number)
        ends = number not in self._open
        if rng.random() < 0.3:
            at = rng.randrange(len(block) + 1)
            first = frame(frames.HEADERS, ends, number, block[:at])
            return first + frame(frames.CONTINUATION, frames.END_HEADERS, number, block[at:])
        return frame(frames.HEADERS, frames.END_HEADERS | ends, number, block)

    def _more(self) -> bytes:
        if not self._open:
            return b""
        rng = self._rng
        number, body = rng.choice(self._open), rng.choice(_BODIES)
        ends = rng.random() < 0.4
        if ends:
            self._open.remove(number)
        if rng.random() < 0.2:
            return frame(frames.DATA, 8 | ends, number, b"\2" + body + b"\0\0")
        if ends and rng.random() < 0.2:
            return frame(frames.HEADERS, LAST, number, b"\0\1a\1b")
        return frame(frames.DATA, ends, number, body)

    def _cut(self) -> bytes:
        if not self._open:
            return b""
        number = self._rng.choice(self._open)
        self._open.remove(number)
        return frames.reset(number, frames.Why.CANCEL)

    def _window(self) -> bytes:
        return window_update(self._rng.choice((0, *range(1, self._next, 2))), self._rng.choice((1, 50, 10_000)))


def _session(rng: random.Random) -> bytes:
    hello = (HELLO, HELLO, HELLO, HELLO, PREFACE + settings((4, 3)), PREFACE + settings((1, 0), (4, 40)), b"")
    raw, speaker = bytearray(rng.choice(hello)), _Speaker(rng)
    for _ in range(rng.randrange(1, 25)):
        raw += speaker.frame()
    for _ in range(rng.choice((0, 0, 0, 0, 1, 3))):
        place = rng.randrange(len(raw) or 1)
        kind = rng.randrange(3)
        if kind == 0 and raw:
            raw[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del raw[place : place + rng.randrange(1, 20)]
        else:
            raw[place:place] = rng.randbytes(rng.randrange(1, 20))
    return bytes(raw)


async def _play(wire: Wire, raw: bytes, rng: random.Random) -> None:
    talk = Talk(wire, b"")
    at = 0
    while at < len(raw):
        size = rng.choice((1, 7, 30, 200, 10_000))
        talk.say(raw[at : at + size])
        at += size
        if rng.random() < 0.1:
            await asyncio.sleep(0)
        if rng.random() < 0.05:
            rng.choice((talk.connection.pause_writing, talk.connection.resume_writing, talk.connection.drain))()
    await asyncio.sleep(0)
    talk.connection.sweep(wire.now + rng.choice((0, 20, 200)))
    await talk.later(3)
    talk.hang_up()
    assert talk.connection.held == 0 and not talk.connection.streams


async def _fuzz(seed: int, count: int) -> None:
    async with wired() as wire:
        for number in range(count):
            rng = random.Random(f"{seed}/{number}")
            raw = _session(rng)
            try:
                await _play(wire, raw, rng)
            except Exception as error:
                error.add_note(f"of {seed}/{number}: {raw.hex()}")
                raise
        await asyncio.sleep(0.01)
        assert wire.connections == 0 and wire.front.in_flight == 0
        assert len(asyncio.all_tasks()) == 1, "what nobody waits for is under way"


def test_malformed_sessions_are_ended_in_order() -> None:
    asyncio.run(_fuzz(0, 8_000))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_many_malformed_sessions_are_ended_in_order(seed: int) -> None:
    asyncio.run(_fuzz(seed, 20_000))


def test_memory_stays_what_it_was() -> None:
    """Of one connection with ever new headers, calls that fail, and streams that are cut."""

    async def run() -> tuple[int, int]:
        async with wired() as wire:
            talk = Talk(wire)
            seen = [0, 0]
            number = 1
            for turn in (0, 1):
                for _ in range(1500):
                    more = (f"x-{number}".encode(), b"v" * 20)
                    kept = b"\x40" + bytes([len(more[0])]) + more[0] + b"\x02" + b"%02d" % (number % 100)
                    talk.connection.floods = type(talk.connection.floods)(wire.now)  # as if it took its time
                    talk.say(
                        window_update(0, 10_000),
                        call(number, asking(b"/grpc.health.v1.Health/Check", more)),
                        call(number + 2, asking() + kept),
                        frame(frames.HEADERS, frames.END_HEADERS, number + 4, asking(INFO)),
                        frame(frames.DATA, 0, number + 4, message(b"\xff")),
                        frame(frames.HEADERS, LAST & ~1, number + 6, asking()),
                        frame(frames.DATA, 0, number + 6, message(bytes(2000))[:1000]),
                        frames.reset(number + 6, frames.Why.CANCEL),
                    )
                    number += 8
                    await asyncio.sleep(0)
                await talk.later(20)
                gc.collect()
                seen[turn] = tracemalloc.get_traced_memory()[0]
            assert not talk.transport.is_closed and not talk.connection.streams
            talk.hang_up()
            return seen[0], seen[1]

    tracemalloc.start()
    try:
        before, after = asyncio.run(run())
    finally:
        tracemalloc.stop()
    assert after - before < 50_000
