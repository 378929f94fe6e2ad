"""Frames out of a connection's bytes, as they come: RFC 9113, sections 3.4, 4 and 6."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from serving.grpc.wire import frames
from serving.grpc.wire.floods import Floods
from serving.grpc.wire.frames import HEAD, HEAD_BYTES, PREFACE, BrokenConnectionError, BrokenStreamError, Why

if TYPE_CHECKING:
    from serving.grpc.wire.service import Wire
    from serving.grpc.wire.stream import Stream

MOST_FRAME = 1 << 20
"""The longest frame that is taken."""
_CONTROL_BYTES = 4096
"""The longest SETTINGS that is read."""
_BLOCK_PARTS = 64
_DATA, _HEADERS = frames.DATA, frames.HEADERS


class Reader(asyncio.Protocol, ABC):
    """
    Attributes:
        streams: calls that are not over, by number.
        is_over: nothing is read any more.
        has_settings: the client has said who it is.
        is_in_block: a header block or a frame is not whole yet.
        since: when what must not take long began, by the service's clock.
    """

    def __init__(self, service: Wire) -> None:
        self.service = service
        self.streams: dict[int, Stream] = {}
        self.floods = Floods(service.now)
        self.is_over = self.has_settings = False
        self.since = service.now
        self._has_preface = False
        self._rest = b""
        self._skip = 0
        self._data_left = 0
        self._data_stream: Stream | None = None
        self._data_ends = 0
        self._block: bytearray | None = None
        self._block_stream = self._block_flags = self._block_parts = 0

    @property
    def is_in_block(self) -> bool:
        return self._block is not None or bool(self._rest)

    @abstractmethod
    def fail(self, why: Why, what: str) -> None:
        """Say what was wrong and end."""

    @abstractmethod
    def receiver(self, number: int, flags: int, length: int) -> Stream | None:
        """Whose DATA it is; None where nobody waits for it any more.

        Raises:
            BrokenConnectionError: it never began.
        """

    @abstractmethod
    def account(self, stream: Stream | None, length: int, flags: int) -> None:
        """So many bytes of DATA come.

        Raises:
            BrokenConnectionError: more than may.
        """

    @abstractmethod
    def end(self, stream: Stream) -> None:
        """The client sends no more on it."""

    @abstractmethod
    def headers(self, number: int, block: bytes, flags: int) -> None:
        """A whole header block.

        Raises:
            BrokenConnectionError: it cannot be read, or may not be.
        """

    @abstractmethod
    def control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """A frame of another kind, at most 4 KB.

        Raises:
            BrokenConnectionError, BrokenStreamError: it may not be.
        """

    @abstractmethod
    def reset(self, number: int, why: Why) -> None:
        """End a stream, or what is left of it."""

    def data_received(self, data: bytes) -> None:
        if self.is_over:
            return
        try:
            self._read(data)
        except BrokenConnectionError as fault:
            self.fail(fault.why, str(fault))

    def _read(self, data: bytes) -> None:
        is_more = bool(self._rest)
        if is_more:
            data, self._rest = self._rest + data, b""
        at = 0 if self._has_preface else self._preface(data)
        size = len(data)
        while at < size and not self.is_over:
            if self._data_left:
                at = self._go_on(data, at, size)
                continue
            if self._skip:
                skipped = min(self._skip, size - at)
                self._skip -= skipped
                at += skipped
                continue
            if size - at < HEAD_BYTES:
                break
            high, low, kind, flags, number = HEAD.unpack_from(data, at)
            begin = at + HEAD_BYTES
            end = begin + (high << 8 | low)
            number &= 0x7FFFFFFF
            if kind == _DATA and self._block is None:
                following = self._data(data, begin, end, size, flags, number)
            else:
                following = self._other(data, begin, end, size, kind, flags, number)
            if not following:
                break
            at = following
        if at < size and not self.is_over:
            self._rest = data[at:] if at else data
            if at or not is_more:
                self.since = self.service.now

    def _preface(self, data: bytes) -> int:
        if PREFACE[: len(data)] != data[: len(PREFACE)]:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "no HTTP/2: the preface is another")
        if len(data) < len(PREFACE):
            self._rest = data
            return len(data)
        self._has_preface = True
        return len(PREFACE)

    def _data(self, data: bytes, begin: int, end: int, size: int, flags: int, number: int) -> int:
        """A DATA frame, or as much of it as is there. Where to go on reading; 0 for nowhere yet."""
        length = end - begin
        stream = self.streams.get(number)
        if stream is None or stream.is_ended or flags & frames.PADDED or end > size or not length:
            return self._odd_data(data, begin, length, size, flags, number)
        self.account(stream, length, flags)
        stream.heard = self.service.now
        stream.take(data, begin, end)
        if flags & 1:
            self.end(stream)
        return end

    def _odd_data(self, data: bytes, begin: int, length: int, size: int, flags: int, number: int) -> int:
        """Padded, empty, not there as a whole, or for nobody."""
        if not self.has_settings or not number or length > MOST_FRAME:
            why = Why.FRAME_SIZE_ERROR if length > MOST_FRAME else Why.PROTOCOL_ERROR
            raise BrokenConnectionError(why, "DATA where it may not be")
        padding = 0
        if flags & frames.PADDED:
            if length and size == begin:
                return 0
            padding = data[begin] + 1 if length else 1
            if padding > length:
                raise BrokenConnectionError(Why.PROTOCOL_ERROR, "more padding than DATA")
            begin += 1
        stream = self.receiver(number, flags, length)
        self.account(stream, length, flags)
        if length == padding and not flags & 1:
            self.floods.control(self.service.now)
        if stream is not None:
            stream.heard = self.service.now
        self._skip = max(0, padding - 1)
        self._data_left, self._data_stream, self._data_ends = length - padding, stream, flags & 1
        if not self._data_left and self._data_ends and stream is not None:
            self.end(stream)
        return begin

    def _go_on(self, data: bytes, at: int, size: int) -> int:
        """More of a DATA frame."""
        end = min(size, at + self._data_left)
        self._data_left -= end - at
        stream = self._data_stream
        if stream is not None and not stream.is_over:
            stream.heard = self.service.now
            stream.take(data, at, end)
            if not self._data_left and self._data_ends:
                self.end(stream)
        return end

    def _other(self, data: bytes, begin: int, end: int, size: int, kind: int, flags: int, number: int) -> int:
        """Any frame but DATA. Where to go on reading; 0 where it is not there as a whole."""
        length = end - begin
        if self._block is not None and (kind != frames.CONTINUATION or number != self._block_stream):
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "a header block is interrupted")
        if not self.has_settings and (kind != frames.SETTINGS or flags & frames.ACK):
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if length > MOST_FRAME:
            raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "a frame that is greater than may be")
        if kind == _HEADERS or kind == frames.CONTINUATION:
            if length > 2 * self.service.limits.header_bytes:
                raise BrokenConnectionError(Why.ENHANCE_YOUR_CALM, "headers that are greater than may be")
            if end > size:
                return 0
            self._header_frame(data[begin:end], kind, flags, number)
            return end
        if kind == frames.GOAWAY and (number or length < 8):
            why = Why.PROTOCOL_ERROR if number else Why.FRAME_SIZE_ERROR
            raise BrokenConnectionError(why, "GOAWAY that is none")
        if kind > frames.CONTINUATION or kind == frames.GOAWAY:
            self.floods.control(self.service.now)
            self._skip = length
            return begin
        if length > _CONTROL_BYTES:
            raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "a control frame that is greater than it can be")
        if end > size:
            return 0
        try:
            self.control(kind, flags, number, data[begin:end])
        except BrokenStreamError as fault:
            self.floods.fault(self.service.now)
            self.reset(fault.stream, fault.why)
        return end

    def _header_frame(self, payload: bytes, kind: int, flags: int, number: int) -> None:
        if kind == frames.CONTINUATION:
            self._continue(payload, flags)
            return
        if not number & 1:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "HEADERS for a stream that is none of the client's")
        if flags & (frames.PADDED | frames.HAS_PRIORITY):
            payload = _bare(payload, flags)
        if flags & frames.END_HEADERS:
            self.headers(number, payload, flags)
            return
        self._block, self._block_stream, self._block_flags, self._block_parts = bytearray(payload), number, flags, 0
        self.since = self.service.now

    def _continue(self, payload: bytes, flags: int) -> None:
        if self._block is None:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._block += payload
        self._block_parts += 1
        # Each may be small, but not all of them: a block without an end costs the client little and us much.
        if len(self._block) > 2 * self.service.limits.header_bytes or self._block_parts > _BLOCK_PARTS:
            raise BrokenConnectionError(Why.ENHANCE_YOUR_CALM, "headers that are greater than may be")
        if flags & frames.END_HEADERS:
            block, self._block = bytes(self._block), None
            self.headers(self._block_stream, block, self._block_flags)


def _bare(payload: bytes, flags: int) -> bytes:
    """The header block without padding and priority."""
    at, end = 0, len(payload)
    if flags & frames.PADDED:
        if not payload:
            raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "HEADERS without the length of their padding")
        at, end = 1, end - payload[0]
    if flags & frames.HAS_PRIORITY:
        at += 5
    if at > end:
        raise BrokenConnectionError(Why.PROTOCOL_ERROR, "more padding than HEADERS")
    return payload[at:end]
