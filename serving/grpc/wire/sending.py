"""What goes out on one connection, as fast as the client's windows allow: RFC 9113, section 5.2."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING

from serving.grpc.wire import blocks, frames
from serving.grpc.wire.floods import Floods
from serving.grpc.wire.frames import BrokenConnectionError, BrokenStreamError, Why

if TYPE_CHECKING:
    from serving.grpc.wire.stream import Stream

PIECE_BYTES = 64 * 1024
"""Most of a message in one frame, so that others' come in between."""
GATHERED_BYTES = 256 * 1024
_BEGIN, _OK = blocks.BEGIN, blocks.OK
_FRONT = struct.Struct(f">HBBBI{len(_BEGIN)}sHBBBIBI")
_BACK = struct.Struct(f">HBBBI{len(_OK)}s")
_HEADERS, _DATA, _END_HEADERS = frames.HEADERS, frames.DATA, frames.END_HEADERS
_LAST = frames.END_STREAM | frames.END_HEADERS


class Sender:
    """
    Attributes:
        window: what the client takes on the connection [bytes].
        first_window: what it takes on each new stream.
        is_paused: the socket takes nothing for now.
    """

    __slots__ = (
        "_floods", "_is_due", "_loop", "_owes_resize", "_parts", "_ready", "_transport",
        "first_window", "is_paused", "most_frame", "window",
    )  # fmt: skip

    def __init__(self, transport: asyncio.Transport, floods: Floods, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._is_due = False
        self._floods = floods
        self.window = self.first_window = frames.FIRST_WINDOW
        self.most_frame = frames.LEAST_FRAME
        self.is_paused = False
        self._owes_resize = False
        self._ready: dict[Stream, None] = {}

    def write(self, data: bytes) -> None:
        """Send what one turn of the loop has to say together: a system call costs as much as the rest of an answer."""
        self._parts.append(data)
        if not self._is_due:
            self._is_due = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        self._is_due = False
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def close(self) -> None:
        """Send what is left, then end."""
        self.flush()
        self._transport.close()

    def set(self, name: int, value: int, streams: list[Stream]) -> None:
        """The client said what it takes.

        Raises:
            BrokenConnectionError: a window that is greater than may be.
        """
        if name == frames.INITIAL_WINDOW_SIZE:
            more, self.first_window = value - self.first_window, value
            for stream in streams:
                stream.window += more
                if stream.window > frames.MOST_WINDOW:
                    raise BrokenConnectionError(Why.FLOW_CONTROL_ERROR, "a window above 2^31-1")
                if stream.unsent:
                    self._ready[stream] = None
        elif name == frames.MAX_FRAME_SIZE:
            self.most_frame = min(value, PIECE_BYTES)
        elif name == frames.HEADER_TABLE_SIZE and value < 4096:
            self._owes_resize = True  # we keep no table; a decoder that made its own smaller waits to be told

    def grant(self, size: int) -> None:
        """
        Raises:
            BrokenConnectionError: too much.
        """
        self.window += size
        if self.window > frames.MOST_WINDOW:
            raise BrokenConnectionError(Why.FLOW_CONTROL_ERROR, "a window above 2^31-1")
        self.pump()

    def grant_stream(self, stream: Stream, size: int) -> None:
        """
        Raises:
            BrokenStreamError: too much.
        """
        stream.window += size
        if stream.window > frames.MOST_WINDOW:
            raise BrokenStreamError(stream.number, Why.FLOW_CONTROL_ERROR)
        if stream.unsent:
            self._ready[stream] = None
            self.pump()

    def answer(self, stream: Stream, raw: bytes) -> bool:
        """A whole answer in one write, where it may go out at once; else nothing."""
        size = len(raw) + 5
        if (
            size > self.window
            or size > stream.window
            or size > self.most_frame
            or self._owes_resize
            or stream.has_begun
            or stream.coding
            or self.is_paused
        ):
            return False
        self.window -= size
        self._floods.sent += size
        number = stream.number
        front = _FRONT.pack(
            0,
            len(_BEGIN),
            _HEADERS,
            _END_HEADERS,
            number,
            _BEGIN,
            size >> 8,
            size & 0xFF,
            _DATA,
            0,
            number,
            0,
            size - 5,
        )
        back = _BACK.pack(0, len(_OK), _HEADERS, _LAST, number, _OK)
        self.write(b"".join((front, raw, back)))
        return True

    def headers(self, number: int, block: bytes, *, is_last: bool = False) -> None:
        if self._owes_resize:
            self._owes_resize = False
            block = b"\x20" + block
        flags = _LAST if is_last else _END_HEADERS
        self.write(frames.frame(_HEADERS, flags, number, block))

    def queue(self, stream: Stream, message: bytes, *, is_compressed: bool) -> None:
        """Send a message as the windows open."""
        head = bytes([is_compressed]) + len(message).to_bytes(4, "big")
        if len(message) <= PIECE_BYTES:
            stream.unsent.append(memoryview(head + message))
        else:
            first = PIECE_BYTES - len(head)
            stream.unsent.append(memoryview(head + message[:first]))
            stream.unsent.append(memoryview(message)[first:])
        self._ready[stream] = None
        self.pump()

    def forget(self, stream: Stream) -> None:
        self._ready.pop(stream, None)

    def pump(self) -> None:
        """Send what may be sent, a frame of each stream in turn."""
        ready = self._ready
        unsent = 0
        while ready and self.window > 0 and not self.is_paused:
            if unsent >= GATHERED_BYTES:
                unsent = 0
                self.flush()  # whether the socket takes more is known only then
                continue
            stream = next(iter(ready))
            del ready[stream]
            if stream.window > 0 and stream.unsent:
                unsent += self._piece(stream)
                if stream.unsent:
                    ready[stream] = None

    def _piece(self, stream: Stream) -> int:
        whole = stream.unsent[0]
        size = min(len(whole), self.window, stream.window, self.most_frame)
        if size == len(whole):
            stream.unsent.popleft()
        else:
            stream.unsent[0] = whole[size:]
        self.window -= size
        stream.window -= size
        self._floods.sent += size
        self.write(frames.frame(_DATA, 0, stream.number, whole[:size]))
        stream.moved()
        return size
