"""A client of HTTP/2 that says what it likes, and a connection without a socket."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Any

from serving.grpc.protos import health_pb2
from serving.grpc.wire import blocks, frames
from serving.grpc.wire.connection import Connection
from serving.grpc.wire.frames import PREFACE, frame
from serving.grpc.wire.hpack import Decoder
from serving.grpc.wire.service import Wire

CHECK = b"/grpc.health.v1.Health/Check"
LAST = frames.END_HEADERS | frames.END_STREAM
HELLO = PREFACE + frames.settings()


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def number(self) -> int:
        """Of an error: the code of RST_STREAM or GOAWAY."""
        return int.from_bytes(self.payload[:4] if self.kind == frames.RST_STREAM else self.payload[4:8], "big")


def read(raw: bytes) -> tuple[list[Frame], bytes]:
    """Whole frames, and what is left."""
    found, at = [], 0
    while len(raw) - at >= 9:
        high, low, kind, flags, stream = struct.unpack_from(">HBBBI", raw, at)
        end = at + 9 + (high << 8 | low)
        if end > len(raw):
            break
        found.append(Frame(kind, flags, stream, raw[at + 9 : end]))
        at = end
    return found, raw[at:]


def asking(path: bytes = CHECK, *more: tuple[bytes, bytes], **instead: bytes) -> bytes:
    """A header block of literals. `instead` replaces `method`, `scheme`, `te`, `content_type`; empty leaves it out."""
    usual = {"method": b"POST", "scheme": b"http", "te": b"trailers", "content_type": b"application/grpc"} | instead
    fields = [(b":method", usual["method"]), (b":scheme", usual["scheme"]), (b":path", path), (b":authority", b"here")]
    fields += [(b"te", usual["te"]), (b"content-type", usual["content_type"])]
    return blocks.block([*(field for field in fields if field[1]), *more])


def message(raw: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(raw).to_bytes(4, "big") + raw


CHECKED = message(health_pb2.HealthCheckRequest().SerializeToString())


def call(number: int, block: bytes = asking(), body: bytes = CHECKED) -> bytes:
    return frame(frames.HEADERS, frames.END_HEADERS, number, block) + frame(frames.DATA, 1, number, body)


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self, **extra: Any) -> None:
        super().__init__(extra)
        self.written = bytearray()
        self.is_closed = self.is_read_paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None:
        self.is_read_paused = True

    def resume_reading(self) -> None:
        self.is_read_paused = False


class Talk:
    """A connection in this thread's loop."""

    def __init__(self, wire: Wire, hello: bytes = HELLO) -> None:
        self.transport = Transport(peername=("127.0.0.1", 1))
        self.connection: Connection = wire.connection()
        self.connection.connection_made(self.transport)
        self._decoder = Decoder(1 << 20)
        self.greeting = self.say(hello)

    def say(self, *data: bytes) -> list[Frame]:
        """What is answered at once."""
        for one in data:
            self.connection.data_received(one)
        return self.heard()

    def heard(self) -> list[Frame]:
        self.connection.sender.flush()
        found, rest = read(bytes(self.transport.written))
        assert not rest, "half a frame was written"
        self.transport.written.clear()
        return found

    async def later(self, turns: int = 5) -> list[Frame]:
        for _ in range(turns):
            await asyncio.sleep(0)
        return self.heard()

    def fields(self, found: Frame) -> dict[bytes, bytes]:
        return dict(self._decoder.decode(found.payload) or ())

    def hang_up(self) -> None:
        self.connection.connection_lost(None)


class Client:
    """The same by a socket."""

    def __init__(self, port: int, hello: bytes = HELLO) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._rest = b""
        self.say(hello)

    def say(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def until(self, kind: int, stream: int | None = None, *, flags: int = 0) -> list[Frame]:
        """All frames up to one of that kind; fewer where the server hung up."""
        found: list[Frame] = []
        while not any(
            one.kind == kind and stream in (None, one.stream) and one.flags & flags == flags for one in found
        ):
            more = self.socket.recv(1 << 20)
            if not more:
                break
            got, self._rest = read(self._rest + more)
            found += got
        return found

    def close(self) -> None:
        self.socket.close()
