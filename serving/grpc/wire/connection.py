"""One HTTP/2 connection of a client: RFC 9113 as far as gRPC uses it.

Faults end in GOAWAY or RST_STREAM with the codes of section 5.4; what is only unknown is ignored (section 5.5).
"""

from __future__ import annotations

import asyncio
import time
from functools import cached_property
from typing import TYPE_CHECKING, cast

from serving.grpc.methods import Streaming
from serving.grpc.wire import frames
from serving.grpc.wire.floods import YOUNG_SECONDS, Floods
from serving.grpc.wire.frames import HEAD, HEAD_BYTES, PREFACE, BrokenConnectionError, BrokenStreamError, Why
from serving.grpc.wire.heads import Head, MalformedError
from serving.grpc.wire.hpack import Decoder, HpackError
from serving.grpc.wire.sending import Sender
from serving.grpc.wire.stream import Stream
from serving.interface import Code, StatusError

if TYPE_CHECKING:
    from serving.grpc.wire.service import Wire
    from serving.guard.certificates import Peer

CONNECTION_WINDOW = 16 << 20
STREAM_WINDOW = 4 << 20
"""What a client may send before it hears from us [bytes]."""
MOST_FRAME = 1 << 20
_CONTROL_BYTES = 4096
"""The longest SETTINGS that is read, and what is kept of a GOAWAY."""
_KEPT_BLOCKS, _KEPT_BLOCK_BYTES, _KEPT_CUTS = 64, 1024, 1024
_PING = b"skylift!"
_DATA, _HEADERS = frames.DATA, frames.HEADERS


class Connection(asyncio.Protocol):
    """
    Attributes:
        held: bytes of messages that are not whole yet.
        streams: calls that are not over, by number.
    """

    def __init__(self, service: Wire) -> None:
        self.service = service
        self.sender: Sender
        self.held = 0
        self.streams: dict[int, Stream] = {}
        self._transport: asyncio.Transport
        self._decoder = Decoder(service.limits.header_bytes)
        self._known: dict[bytes, tuple[Head, float | None]] = {}
        self._floods = Floods(service.now)
        self._rest = b""
        self._data_left = 0
        self._data_stream: Stream | None = None
        self._data_ends = 0
        self._skip = 0
        self._has_preface = self._has_settings = False
        self._block: bytearray | None = None
        self._block_stream = self._block_flags = self._block_parts = 0
        self._last = 0
        self._owed = 0
        self._cut: dict[int, None] = {}
        self._is_over = self._is_leaving = self._has_left = False
        self._since = service.now
        """When what `sweep` looks at began: the connection, the header block, being idle, being unread."""
        self._unread = 0

    # the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.sender = Sender(self._transport, self._floods)
        self.service.opened(self)
        limits = self.service.limits
        self._transport.write(
            frames.settings(
                (frames.MAX_CONCURRENT_STREAMS, self.service.most_streams),
                (frames.INITIAL_WINDOW_SIZE, STREAM_WINDOW),
                (frames.MAX_FRAME_SIZE, MOST_FRAME),
                (frames.MAX_HEADER_LIST_SIZE, limits.header_bytes),
            )
            + frames.window_update(0, CONNECTION_WINDOW - frames.FIRST_WINDOW)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over = True
        for stream in list(self.streams.values()):
            stream.cut()
        self.streams.clear()
        self.service.closed(self)

    def pause_writing(self) -> None:
        self.sender.is_paused = True
        self._transport.pause_reading()
        self._unread, self._since = self._transport.get_write_buffer_size(), self.service.now

    def resume_writing(self) -> None:
        self.sender.is_paused = False
        self._unread, self._since = 0, self.service.now
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self.sender.pump()

    @cached_property
    def client(self) -> str:
        peer = self._transport.get_extra_info("peername")
        return str(peer[0]) if isinstance(peer, tuple) and peer else ""

    @cached_property
    def certificate(self) -> Peer | None:
        from serving.guard import certificates

        return certificates.of_tls(self._transport.get_extra_info("peercert"))

    def drain(self) -> None:
        """Take no new calls: first say so, then, when the client must have heard it, from which on they were not taken."""
        if not self._is_leaving and not self._is_over:
            self._is_leaving = True
            self._since = self.service.now
            ping = frames.frame(frames.PING, 0, 0, _PING)
            self._transport.write(frames.goaway(frames.MOST_WINDOW, Why.NO_ERROR) + ping)

    def leave(self) -> None:
        """The client has heard it, or had time to."""
        if self._is_leaving and not self._has_left and not self._is_over:
            self._has_left = True
            self._transport.write(frames.goaway(self._last, Why.NO_ERROR))
            self._close_if_done()

    def end_streams(self) -> None:
        """End calls that have no end of their own, once no new ones begin."""
        for stream in list(self.streams.values()):
            if self._has_left and isinstance(stream.head.method, Streaming):
                stream.fail(StatusError(Code.UNAVAILABLE, "the server ends"))

    def abort(self) -> None:
        self._transport.abort()

    def sweep(self, now: float) -> None:
        """Look for what takes too long; called each half second."""
        limits, waited = self.service.limits, now - self._since
        if self._is_over:
            if waited > limits.header_seconds:
                self._transport.abort()
            return
        if self.sender.is_paused:
            self._look_at_reader(waited)
        elif not self._has_settings or self._block is not None:
            if waited > limits.header_seconds:
                self._fail(Why.PROTOCOL_ERROR, "headers did not arrive in time")
        elif self._is_leaving and not self._has_left:
            if waited > self.service.linger:
                self.leave()
        elif not self.streams and waited > limits.idle_seconds:
            self.drain()
        for stream in list(self.streams.values()):
            self._look_at(stream, now)

    def _look_at_reader(self, waited: float) -> None:
        """A client that reads slowly may; one that does not read at all is cut off."""
        if waited > self.service.limits.stall_seconds:
            left = self._transport.get_write_buffer_size()
            if left >= self._unread:
                self._transport.abort()
            self._unread, self._since = left, self.service.now

    def _look_at(self, stream: Stream, now: float) -> None:
        limits = self.service.limits
        quiet = now - stream.heard
        if stream.unsent:
            if quiet > limits.stall_seconds and not self.sender.is_paused:
                self._reset(stream, Why.CANCEL)
        elif not stream.is_ended and not self.sender.is_paused:
            age = time.monotonic() - stream.began - limits.stall_seconds
            most = limits.idle_seconds if stream.takes_many and not stream.is_partial else limits.stall_seconds
            is_slow = not stream.takes_many and stream.received < age * limits.body_bytes_per_second
            if quiet > most or is_slow:
                stream.fail(StatusError(Code.DEADLINE_EXCEEDED, "the request did not arrive in time"))

    # frames

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        try:
            self._read(data)
        except BrokenConnectionError as fault:
            self._fail(fault.why, str(fault))

    def _fail(self, why: Why, what: str) -> None:
        """Say what was wrong and end."""
        self._is_over = True
        self._since = self.service.now
        self._rest = b""
        self._transport.write(frames.goaway(self._last, why, what))
        for stream in list(self.streams.values()):
            stream.cut()
        self.streams.clear()
        self._transport.close()

    def _read(self, data: bytes) -> None:
        if self._rest:
            data, self._rest = self._rest + data, b""
        at = 0 if self._has_preface else self._preface(data)
        size = len(data)
        while at < size and not self._is_over:
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
        if at < size and not self._is_over:
            self._rest = data[at:] if at else data

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
        self._account(stream, length, flags)
        stream.heard = self.service.now
        stream.take(data, begin, end)
        if flags & 1:
            self._end(stream)
        return end

    def _odd_data(self, data: bytes, begin: int, length: int, size: int, flags: int, number: int) -> int:
        """Padded, empty, not there as a whole, or for nobody."""
        if not self._has_settings or not number or length > MOST_FRAME:
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
        stream = self._receiver(number, flags)
        self._account(stream, length, flags)
        if length == padding and not flags & 1:
            self._floods.control(self.service.now)
        if stream is not None:
            stream.heard = self.service.now
        self._skip = max(0, padding - 1)
        self._data_left, self._data_stream, self._data_ends = length - padding, stream, flags & 1
        if not self._data_left and self._data_ends and stream is not None:
            self._end(stream)
        return begin

    def _receiver(self, number: int, flags: int) -> Stream | None:
        """Whose DATA it is; None where nobody waits for it any more."""
        stream = self.streams.get(number)
        if stream is not None and not stream.is_ended:
            return stream
        if number > self._last or not number & 1:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "DATA for a stream that did not begin")
        if number in self._cut:
            if flags & 1:
                del self._cut[number]
            return None
        self._floods.fault(self.service.now)
        if stream is not None:
            self._reset(stream, Why.STREAM_CLOSED)
        else:
            self._transport.write(frames.reset(number, Why.STREAM_CLOSED))
        return None

    def _account(self, stream: Stream | None, length: int, flags: int) -> None:
        """Count what came, and let the client send as much again when half of a window is used up."""
        self._owed += length
        if self._owed > CONNECTION_WINDOW >> 1:
            if self._owed > CONNECTION_WINDOW:
                raise BrokenConnectionError(Why.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
            self._transport.write(frames.window_update(0, self._owed))
            self._owed = 0
        if stream is None:
            return
        stream.owed += length
        if stream.owed > STREAM_WINDOW >> 1:
            if stream.owed > STREAM_WINDOW:
                raise BrokenConnectionError(Why.FLOW_CONTROL_ERROR, "more DATA than a stream's window")
            if not flags & 1:
                self._transport.write(frames.window_update(stream.number, stream.owed))
                stream.owed = 0

    def _go_on(self, data: bytes, at: int, size: int) -> int:
        """More of a DATA frame."""
        end = min(size, at + self._data_left)
        self._data_left -= end - at
        stream = self._data_stream
        if stream is not None and not stream.is_over:
            stream.heard = self.service.now
            stream.take(data, at, end)
            if not self._data_left and self._data_ends:
                self._end(stream)
        return end

    def _end(self, stream: Stream) -> None:
        if stream.is_over:
            self._cut.pop(stream.number, None)
            return
        try:
            stream.end()
        except BrokenStreamError as fault:
            self._floods.fault(self.service.now)
            self._reset(stream, fault.why)

    def _other(self, data: bytes, begin: int, end: int, size: int, kind: int, flags: int, number: int) -> int:
        """Any frame but DATA. Where to go on reading; 0 where it is not there as a whole."""
        length = end - begin
        if self._block is not None and (kind != frames.CONTINUATION or number != self._block_stream):
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "a header block is interrupted")
        if not self._has_settings and (kind != frames.SETTINGS or flags & frames.ACK):
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if length > MOST_FRAME:
            raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "a frame that is greater than may be")
        if kind == _HEADERS or kind == frames.CONTINUATION:
            if length > 2 * self.service.limits.header_bytes:
                raise BrokenConnectionError(Why.ENHANCE_YOUR_CALM, "headers that are greater than may be")
            if end > size:
                if self._block is None and not self._rest:
                    self._since = self.service.now
                return 0
            self._header_frame(data[begin:end], kind, flags, number)
            return end
        if kind > frames.CONTINUATION or kind == frames.GOAWAY:
            self._floods.control(self.service.now)
            self._skip = length
            return begin
        if length > _CONTROL_BYTES:
            raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "a control frame that is greater than it can be")
        if end > size:
            return 0
        try:
            self._control(kind, flags, number, data[begin:end])
        except BrokenStreamError as fault:
            self._floods.fault(self.service.now)
            self._reset_number(fault.stream, fault.why)
        return end

    def _control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        match kind:
            case frames.WINDOW_UPDATE:
                self._window_update(number, payload)
            case frames.SETTINGS:
                self._settings(flags, number, payload)
            case frames.PING:
                self._ping(flags, number, payload)
            case frames.RST_STREAM:
                self._rst_stream(number, payload)
            case frames.PRIORITY:
                self._floods.control(self.service.now)
                if not number:
                    raise BrokenConnectionError(Why.PROTOCOL_ERROR, "PRIORITY for the connection")
                if len(payload) != 5:
                    raise BrokenStreamError(number, Why.FRAME_SIZE_ERROR)
            case _:
                raise BrokenConnectionError(Why.PROTOCOL_ERROR, "clients push nothing")

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "SETTINGS for a stream")
        self._floods.control(self.service.now)
        if flags & frames.ACK:
            if payload:
                raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "SETTINGS with ACK and values")
            return
        values = frames.read_settings(payload)
        if not self._has_settings:
            self._has_settings = True
            self._since = self.service.now
        self._transport.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        for name, value in values:
            self.sender.set(name, value, list(self.streams.values()))
        self.sender.pump()

    def _ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "PING for a stream")
        if len(payload) != 8:
            raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "PING of another size than 8")
        self._floods.control(self.service.now)
        if not flags & frames.ACK:
            self._transport.write(frames.frame(frames.PING, frames.ACK, 0, payload))
            if not self._is_leaving:
                self._since = self.service.now  # it wants to be kept
        elif payload == _PING:
            self.leave()

    def _window_update(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "WINDOW_UPDATE of another size than 4")
        self._floods.update(self.service.now)
        more = int.from_bytes(payload, "big") & 0x7FFFFFFF
        if not number:
            if not more:
                raise BrokenConnectionError(Why.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
            self.sender.grant(more)
            return
        stream = self._known_stream(number)
        if stream is None:
            return
        if not more:
            raise BrokenStreamError(number, Why.PROTOCOL_ERROR)
        self.sender.grant_stream(stream, more)

    def _rst_stream(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "RST_STREAM of another size than 4")
        stream = self._known_stream(number)
        if stream is None:
            self._cut.pop(number, None)
            self._floods.update(self.service.now)
            return
        if time.monotonic() - stream.began < YOUNG_SECONDS:
            self._floods.reset(self.service.now)
        stream.cut()
        stream.is_ended = True
        self.finished(stream)

    def _known_stream(self, number: int) -> Stream | None:
        """None where it is over.

        Raises:
            BrokenConnectionError: it never began.
        """
        if not number or number > self._last or not number & 1:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "a frame for a stream that did not begin")
        return self.streams.get(number)

    # headers

    def _header_frame(self, payload: bytes, kind: int, flags: int, number: int) -> None:
        if kind == frames.CONTINUATION:
            self._continue(payload, flags)
            return
        if not number & 1:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "HEADERS for a stream that is none of the client's")
        if flags & (frames.PADDED | frames.HAS_PRIORITY):
            payload = _bare(payload, flags)
        if flags & frames.END_HEADERS:
            self._headers(number, payload, flags)
            return
        self._block, self._block_stream, self._block_flags, self._block_parts = bytearray(payload), number, flags, 0
        self._since = self.service.now

    def _continue(self, payload: bytes, flags: int) -> None:
        if self._block is None:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._block += payload
        self._block_parts += 1
        # Each may be small, but not all of them: a block without an end costs the client little and us much.
        if len(self._block) > 2 * self.service.limits.header_bytes or self._block_parts > 64:
            raise BrokenConnectionError(Why.ENHANCE_YOUR_CALM, "headers that are greater than may be")
        if flags & frames.END_HEADERS:
            block, self._block = bytes(self._block), None
            self._headers(self._block_stream, block, self._block_flags)

    def _headers(self, number: int, block: bytes, flags: int) -> None:
        if number <= self._last:
            self._late_headers(number, block, flags)
            return
        try:
            known = self._known.get(block) or self._head(block)
        except MalformedError:
            known = None
        if self._has_left:
            return
        self._last = number
        self._floods.call()
        if known is None:
            self._floods.fault(self.service.now)
            self._refuse(number, Why.PROTOCOL_ERROR, flags)
        elif len(self.streams) >= self.service.most_streams:
            self._floods.fault(self.service.now)
            self._refuse(number, Why.REFUSED_STREAM, flags)
        else:
            self._begin(number, *known, flags)

    def _head(self, block: bytes) -> tuple[Head, float | None]:
        decoder = self._decoder
        changes = decoder.changes
        fields = self._decode(block)
        if decoder.changes != changes:
            self._known.clear()
        if fields is None:
            return self.service.too_many_headers, None
        known = self.service.heads.read(fields)
        if decoder.changes == changes and len(block) <= _KEPT_BLOCK_BYTES:
            if len(self._known) >= _KEPT_BLOCKS:
                self._known.clear()
            self._known[block] = known
        return known

    def _decode(self, block: bytes) -> list[tuple[bytes, bytes]] | None:
        try:
            return self._decoder.decode(block)
        except HpackError:
            raise BrokenConnectionError(Why.COMPRESSION_ERROR, "a header block cannot be read") from None

    def _begin(self, number: int, head: Head, timeout: float | None, flags: int) -> None:
        now = time.monotonic()
        stream = Stream(self, number, head, None if timeout is None else now + timeout, now)
        self.streams[number] = stream
        if flags & 1:
            stream.is_ended = True
        if head.method is None:
            stream.refuse(head.refusal)
            return
        if stream.takes_many:
            self.service.carrier.carry(stream)
        if flags & 1 and not stream.is_over:
            self._end(stream)

    def _late_headers(self, number: int, block: bytes, flags: int) -> None:
        """Trailers, or headers of a stream that is over."""
        changes = self._decoder.changes
        fields = self._decode(block)
        if self._decoder.changes != changes:
            self._known.clear()
        stream = self.streams.get(number)
        if stream is None or stream.is_ended:
            if number not in self._cut:
                raise BrokenConnectionError(Why.STREAM_CLOSED, "HEADERS for a stream that is over")
            self._floods.control(self.service.now)
            if flags & 1:
                del self._cut[number]
            return
        if not flags & 1 or fields is None or any(name[:1] == b":" for name, _ in fields):
            self._floods.fault(self.service.now)
            self._reset(stream, Why.PROTOCOL_ERROR)
            return
        self._end(stream)

    # the ends of streams

    def _refuse(self, number: int, why: Why, flags: int) -> None:
        self._transport.write(frames.reset(number, why))
        if not flags & 1:
            self._remember(number)

    def _reset_number(self, number: int, why: Why) -> None:
        stream = self.streams.get(number)
        if stream is not None:
            self._reset(stream, why)
        else:
            self._transport.write(frames.reset(number, why))

    def _reset(self, stream: Stream, why: Why) -> None:
        self._transport.write(frames.reset(stream.number, why))
        stream.cut()
        if not stream.is_ended:
            stream.is_ended = True
            self._remember(stream.number)
        self.finished(stream)

    def finished(self, stream: Stream) -> None:
        """A call is over; where the client would send more, it is told that nobody reads it."""
        self.streams.pop(stream.number, None)
        if self._is_over:
            return
        if not stream.is_ended:
            self._transport.write(frames.reset(stream.number, Why.NO_ERROR))
            self._remember(stream.number)
        if not self.streams:
            self._since = self.service.now
            if self._has_left:
                self._close_if_done()

    def _close_if_done(self) -> None:
        if not self.streams:
            self._is_over = True
            self._transport.close()

    def _remember(self, number: int) -> None:
        """What still comes for it was on its way when it ended."""
        self._cut[number] = None
        if len(self._cut) > _KEPT_CUTS:
            del self._cut[next(iter(self._cut))]

    def hold(self, stream: Stream, size: int) -> None:
        """Another part of a message came."""
        self.held += size
        most = self.service.most_held
        if 0 <= most < self.held:
            text = f"messages of this connection that are not whole are greater than {most} bytes"
            stream.fail(StatusError(Code.RESOURCE_EXHAUSTED, text))


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
