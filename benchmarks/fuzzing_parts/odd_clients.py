"""Clients with real sockets that do what clients should not."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from benchmarks.fuzzing_parts.answers import DOCUMENTED, WrongError
from benchmarks.fuzzing_parts.real_server import BODY_MIB, HEADER_SECONDS, STALL_SECONDS

SECONDS = 30.0
"""For anything to end, on a machine that others use too."""
BODY = b'{"instances": [[1, 2, 3]]}'
GOOD = b"POST /v1/models/rows:predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
LAST = GOOD.replace(b"Host: a", b"Host: a\r\nConnection: close")
TOLD = b'{"predictions":[[2.0,4.0,6.0]]}'
TLS_HELLO = bytes.fromhex("16030100c4010000c00303") + bytes(range(185))
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_MANY = 60


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> bool:
        """Whether the server still takes it."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except (ConnectionError, OSError):
            return False
        return not self._writer.is_closing()

    async def rest(self, seconds: float = SECONDS) -> bytes:
        """All that comes until the server closes."""
        found = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(seconds):
                while piece := await self._reader.read(1 << 16):
                    found += piece
        return found

    async def some(self, seconds: float) -> bytes:
        with contextlib.suppress(ConnectionError, TimeoutError):
            return await asyncio.wait_for(self._reader.read(1 << 16), seconds)
        return b""

    def shut(self) -> None:
        with contextlib.suppress(OSError):
            self._writer.write_eof()

    def reset(self) -> None:
        raw = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def line(port: int, receive_bytes: int | None = None) -> AsyncIterator[Line]:
    raw = socket.socket()
    raw.setblocking(False)
    if receive_bytes is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await asyncio.wait_for(asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port)), SECONDS)
    reader, writer = await asyncio.open_connection(sock=raw)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), SECONDS)


def check_statuses(told: bytes, sent: bytes) -> None:
    """
    Raises:
        WrongError: a status that is not documented.
    """
    if told and not told.startswith(b"HTTP/1.1 ") and not sent.startswith(b"PRI"):
        raise WrongError(f"no HTTP: {told[:200]!r} for {sent[:500]!r}")
    for status in _STATUS.findall(told):
        if int(status) not in DOCUMENTED | {100, 499}:
            raise WrongError(f"status {status.decode()} for {sent[:1000]!r}: {told[:500]!r}")


def _expect(found: bytes, *wanted: bytes) -> None:
    if not all(one in found for one in wanted):
        raise WrongError(f"{found[:500]!r}, expected {wanted}")


# what they do


async def half_closed(port: int, rng: random.Random) -> None:
    """Nothing more to say, but reads: it is answered."""
    async with line(port) as one:
        await one.send(GOOD * rng.choice((1, 3)))
        one.shut()
        _expect(await one.rest(), TOLD)


async def half_closed_early(port: int, rng: random.Random) -> None:
    async with line(port) as one:
        await one.send(GOOD[: rng.randrange(len(GOOD))])
        one.shut()
        check_statuses(await one.rest(), GOOD)


async def reset_early(port: int, rng: random.Random) -> None:
    """Gone in the midst of anything: before a byte, in the headers, in the body, before the answer, within it."""
    async with line(port) as one:
        await one.send((GOOD * 40)[: rng.choice((0, rng.randrange(len(GOOD)), len(GOOD), 40 * len(GOOD)))])
        if rng.random() < 0.3:
            await one.some(0.01)
        one.reset()


async def pipelined(port: int, rng: random.Random) -> None:
    """Many requests at once are answered in their order."""
    count = rng.choice((2, 33, 100))
    async with line(port) as one:
        data = GOOD * (count - 1) + LAST
        at = rng.randrange(len(data))
        await one.send(data[:at])
        await one.send(data[at:])
        found = await one.rest()
    if found.count(TOLD) != count or found.count(b"HTTP/1.1 200 OK") != count:
        raise WrongError(f"{found.count(TOLD)} answers to {count} requests")


async def expecting(port: int, rng: random.Random) -> None:
    """Asks before it sends the body; does as it is told."""
    size = rng.choice((len(BODY), BODY_MIB * 2**20 + 1, 10**15))
    async with line(port) as one:
        head = b"POST /v1/models/rows:predict HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n"
        await one.send(head + b"Content-Length: %d\r\n\r\n" % size)
        first = await one.some(SECONDS)
        if size > len(BODY):
            _expect(first, b"HTTP/1.1 413 ")
            return
        _expect(first, b"HTTP/1.1 100 Continue\r\n\r\n")
        await one.send(BODY)
        _expect(await one.rest(), TOLD)


async def endless(port: int, rng: random.Random) -> None:
    """A body in chunks that does not end, extensions, trailers or headers likewise: cut off at the limit."""
    start = b"POST /v1/models/rows:predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    begin, piece = rng.choice(
        (
            (start, b"10000\r\n" + b" " * 65536 + b"\r\n"),
            (start + b"1;", b"e" * 65536),
            (start + b"1\r\nx\r\n0\r\n", b"X: y\r\n" * 9000),
            (start[:-2], b"X: y\r\n" * 9000),
            (start[:-2] + b"X: ", b"y" * 65536),
            (b"GET /", b"y" * 65536),
        )
    )
    async with line(port) as one:
        await one.send(begin)
        for _ in range(BODY_MIB * 2**20 // 32768):
            if not await one.send(piece):
                break
        else:
            check_statuses(found := await one.some(SECONDS), begin)
            if found and not re.match(rb"HTTP/1.1 (413|431|400) ", found):
                raise WrongError(f"{found[:200]!r} to what does not end")
            if not found and await one.send(piece) and await one.send(piece):
                raise WrongError("what does not end is read on and on")


async def other_protocols(port: int, rng: random.Random) -> None:
    """TLS, HTTP/2 with nonsense behind, other things."""
    data = rng.choice((TLS_HELLO, HTTP2 + rng.randbytes(300), HTTP2[: rng.randrange(len(HTTP2))], rng.randbytes(200)))
    data = rng.choice((data, data, HTTP2 + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + rng.randbytes(50)))
    async with line(port) as one:
        await one.send(data)
        one.shut()
        await one.rest()


Act = Callable[[int, random.Random], Awaitable[None]]
ACTS: list[tuple[Act, int]] = [
    (half_closed, 6),
    (half_closed_early, 6),
    (reset_early, 12),
    (pipelined, 3),
    (expecting, 5),
    (endless, 3),
    (other_protocols, 6),
]


# many at once


async def slow_headers(port: int) -> int:
    """Slow loris: many that send a byte now and then. All are cut off in time."""
    return await _slowly(port, GOOD[:60], HEADER_SECONDS)


async def slow_bodies(port: int) -> int:
    start = b"POST /v1/models/rows:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    return await _slowly(port, b" " * 1000, STALL_SECONDS * 2, start)


async def silent(port: int) -> int:
    return await _slowly(port, b"", HEADER_SECONDS)


async def _slowly(port: int, data: bytes, seconds: float, start: bytes = b"") -> int:
    async def one_of_them() -> None:
        began = time.monotonic()
        async with line(port) as one:
            await one.send(start)
            ending = asyncio.ensure_future(one.rest())
            for at in range(len(data)):
                if ending.done() or not await one.send(data[at : at + 1]):
                    break
                await asyncio.wait([ending], timeout=0.2)
            check_statuses(await ending, data)
        if time.monotonic() - began > seconds + 10:
            raise WrongError(f"a slow client was left alone for {time.monotonic() - began:.1f} s, expected {seconds}")

    await asyncio.gather(*(one_of_them() for _ in range(_MANY)))
    return _MANY


async def slow_readers(port: int) -> int:
    """They ask for much and read nothing: cut off once nothing moves, and never more than some answers in memory."""

    async def one_of_them() -> None:
        async with line(port, receive_bytes=4096) as one:
            for _ in range(200):
                if not await _within(one.send(b"GET /v2/models/pair HTTP/1.1\r\nHost: a\r\n\r\n" * 100), 0.5):
                    break
            await asyncio.sleep(STALL_SECONDS * 2 + 1)
            await one.rest()

    await asyncio.gather(*(one_of_them() for _ in range(20)))
    return 20


async def _within(sending: Awaitable[bool], seconds: float) -> bool:
    try:
        return await asyncio.wait_for(sending, seconds)
    except TimeoutError:
        return False


async def flood(port: int, connections: int) -> int:
    """More connections than may be open: who comes later waits for a place, which those who say nothing lose."""

    async def one_of_them() -> None:
        async with line(port) as one:
            await one.rest()

    await asyncio.gather(*(one_of_them() for _ in range(connections)))
    return connections
