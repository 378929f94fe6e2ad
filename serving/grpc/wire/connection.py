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
from serving.grpc.wire.floods import YOUNG_SECONDS
from serving.grpc.wire.frames import BrokenConnectionError, BrokenStreamError, Why
from serving.grpc.wire.heads import Head, MalformedError
from serving.grpc.wire.hpack import Decoder, HpackError
from serving.grpc.wire.reader import MOST_FRAME, Reader
from serving.grpc.wire.sending import Sender
from serving.grpc.wire.stream import SWALLOWED_BYTES, Stream
from serving.interface import Code, StatusError

if TYPE_CHECKING:
    from serving.grpc.wire.service import Wire
    from serving.guard.certificates import Peer

CONNECTION_WINDOW = 16 << 20
STREAM_WINDOW = 4 << 20
"""What a client may send before it hears from us [bytes]."""
_KEPT_BLOCKS, _KEPT_BLOCK_BYTES, _KEPT_CUTS = 64, 1024, 1024
_PING = b"skylift!"


class Connection(Reader):
    """
    Attributes:
        held: bytes of messages that are not whole yet.
    """

    def __init__(self, service: Wire) -> None:
        super().__init__(service)
        self.sender: Sender
        self.held = 0
        self._transport: asyncio.Transport
        self._decoder = Decoder(service.limits.header_bytes)
        self._known: dict[bytes, tuple[Head, float | None]] = {}
        self._last = self._seen = 0
        """The newest call that was taken, and that came: others come after it was said that the connection ends."""
        self._owed = 0
        self._cut: dict[int, int] = {}
        """Streams that the client has not ended, and what it may send still before it is told that nobody reads it [bytes]."""
        self._is_leaving = self._has_left = False
        self._unread = 0

    # the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.sender = Sender(self._transport, self.floods, self.service.loop)
        self.service.opened(self)
        limits = self.service.limits
        self.sender.write(
            frames.settings(
                (frames.MAX_CONCURRENT_STREAMS, self.service.most_streams),
                (frames.INITIAL_WINDOW_SIZE, STREAM_WINDOW),
                (frames.MAX_FRAME_SIZE, MOST_FRAME),
                (frames.MAX_HEADER_LIST_SIZE, limits.header_bytes),
            )
            + frames.window_update(0, CONNECTION_WINDOW - frames.FIRST_WINDOW)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True
        for stream in list(self.streams.values()):
            stream.cut()
        self.streams.clear()
        self.service.closed(self)

    def pause_writing(self) -> None:
        self.sender.is_paused = True
        self._transport.pause_reading()
        self._unread, self.since = self._transport.get_write_buffer_size(), self.service.now

    def resume_writing(self) -> None:
        self.sender.is_paused = False
        self._unread, self.since = 0, self.service.now
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
        if not self._is_leaving and not self.is_over:
            self._is_leaving = True
            self.since = self.service.now
            ping = frames.frame(frames.PING, 0, 0, _PING)
            self.sender.write(frames.goaway(frames.MOST_WINDOW, Why.NO_ERROR) + ping)

    def leave(self) -> None:
        """The client has heard it, or had time to."""
        if self._is_leaving and not self._has_left and not self.is_over:
            self._has_left = True
            self.sender.write(frames.goaway(self._last, Why.NO_ERROR))
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
        limits, waited = self.service.limits, now - self.since
        if self.is_over:
            if waited > limits.header_seconds:
                self._transport.abort()
            return
        if self.sender.is_paused:
            self._look_at_reader(waited)
        elif not self.has_settings or self.is_in_block:
            if waited > limits.header_seconds:
                self.fail(Why.PROTOCOL_ERROR, "headers did not arrive in time")
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
            self._unread, self.since = left, self.service.now

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

    def fail(self, why: Why, what: str) -> None:
        self.is_over = True
        self.since = self.service.now
        self.sender.write(frames.goaway(self._last, why, what))
        for stream in list(self.streams.values()):
            stream.cut()
        self.streams.clear()
        self.sender.close()

    def receiver(self, number: int, flags: int, length: int) -> Stream | None:
        stream = self.streams.get(number)
        if stream is not None and not stream.is_ended:
            return stream
        if number > self._seen or not number & 1:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "DATA for a stream that did not begin")
        if number in self._cut:
            self._swallow(number, flags, length)
            return None
        self.floods.fault(self.service.now)
        if stream is not None:
            self._reset(stream, Why.STREAM_CLOSED)
        else:
            self.sender.write(frames.reset(number, Why.STREAM_CLOSED))
        return None

    def _swallow(self, number: int, flags: int, length: int) -> None:
        """DATA of a call that is answered. A client that has little left to send needs no reset; some take that for an error."""
        if flags & 1:
            del self._cut[number]
            return
        left = self._cut[number]
        self._cut[number] = left - length
        if left > 0 >= left - length:
            self.sender.write(frames.reset(number, Why.NO_ERROR))

    def account(self, stream: Stream | None, length: int, flags: int) -> None:
        """Count what came, and let the client send as much again when half of a window is used up."""
        self._owed += length
        if self._owed > CONNECTION_WINDOW >> 1:
            if self._owed > CONNECTION_WINDOW:
                raise BrokenConnectionError(Why.FLOW_CONTROL_ERROR, "more DATA than the connection's window")
            self.sender.write(frames.window_update(0, self._owed))
            self._owed = 0
        if stream is None:
            return
        stream.owed += length
        if stream.owed > STREAM_WINDOW >> 1:
            if stream.owed > STREAM_WINDOW:
                raise BrokenConnectionError(Why.FLOW_CONTROL_ERROR, "more DATA than a stream's window")
            if not flags & 1:
                self.sender.write(frames.window_update(stream.number, stream.owed))
                stream.owed = 0

    def end(self, stream: Stream) -> None:
        if stream.is_over:
            self._cut.pop(stream.number, None)
            return
        try:
            stream.end()
        except BrokenStreamError as fault:
            self.floods.fault(self.service.now)
            self._reset(stream, fault.why)

    def control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
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
                self.floods.control(self.service.now)
                if not number:
                    raise BrokenConnectionError(Why.PROTOCOL_ERROR, "PRIORITY for the connection")
                if len(payload) != 5:
                    raise BrokenStreamError(number, Why.FRAME_SIZE_ERROR)
            case _:
                raise BrokenConnectionError(Why.PROTOCOL_ERROR, "clients push nothing")

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "SETTINGS for a stream")
        self.floods.control(self.service.now)
        if flags & frames.ACK:
            if payload:
                raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "SETTINGS with ACK and values")
            return
        values = frames.read_settings(payload)
        if not self.has_settings:
            self.has_settings = True
            self.since = self.service.now
        self.sender.write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        for name, value in values:
            self.sender.set(name, value, list(self.streams.values()))
        self.sender.pump()

    def _ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "PING for a stream")
        if len(payload) != 8:
            raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "PING of another size than 8")
        self.floods.control(self.service.now)
        if not flags & frames.ACK:
            self.sender.write(frames.frame(frames.PING, frames.ACK, 0, payload))
            if not self._is_leaving:
                self.since = self.service.now  # it wants to be kept
        elif payload == _PING:
            self.leave()

    def _window_update(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise BrokenConnectionError(Why.FRAME_SIZE_ERROR, "WINDOW_UPDATE of another size than 4")
        self.floods.update(self.service.now)
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
            self.floods.update(self.service.now)
            return
        if time.monotonic() - stream.began < YOUNG_SECONDS:
            self.floods.reset(self.service.now)
        stream.cut()
        stream.is_ended = True
        self.finished(stream)

    def _known_stream(self, number: int) -> Stream | None:
        """None where it is over.

        Raises:
            BrokenConnectionError: it never began.
        """
        if not number or number > self._seen or not number & 1:
            raise BrokenConnectionError(Why.PROTOCOL_ERROR, "a frame for a stream that did not begin")
        return self.streams.get(number)

    # headers

    def headers(self, number: int, block: bytes, flags: int) -> None:
        if number <= self._seen:
            self._late_headers(number, block, flags)
            return
        try:
            known = self._known.get(block) or self._head(block)
        except MalformedError:
            known = None
        self._seen = number
        if self._has_left:
            if not flags & 1:
                self._remember(number)
            return
        self._last = number
        self.floods.call(self.service.now)
        if known is None:
            self.floods.fault(self.service.now)
            self._refuse(number, Why.PROTOCOL_ERROR, flags)
        elif len(self.streams) >= self.service.most_streams:
            self.floods.fault(self.service.now)
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
        if head.method is None and (stream.is_ended or not head.waits):
            stream.refuse()
            return
        if stream.takes_many:
            self.service.carrier.carry(stream)
        if flags & 1 and not stream.is_over:
            self.end(stream)

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
            self.floods.control(self.service.now)
            if flags & 1:
                del self._cut[number]
            return
        if not flags & 1 or fields is None or any(name[:1] == b":" for name, _ in fields):
            self.floods.fault(self.service.now)
            self._reset(stream, Why.PROTOCOL_ERROR)
            return
        self.end(stream)

    # the ends of streams

    def _refuse(self, number: int, why: Why, flags: int) -> None:
        self.sender.write(frames.reset(number, why))
        if not flags & 1:
            self._remember(number)

    def reset(self, number: int, why: Why) -> None:
        stream = self.streams.get(number)
        if stream is not None:
            self._reset(stream, why)
        else:
            self.sender.write(frames.reset(number, why))

    def _reset(self, stream: Stream, why: Why) -> None:
        self.sender.write(frames.reset(stream.number, why))
        stream.cut()
        if not stream.is_ended:
            stream.is_ended = True
            self._remember(stream.number)
        self.finished(stream)

    def finished(self, stream: Stream) -> None:
        """A call is over."""
        self.streams.pop(stream.number, None)
        if self.is_over:
            return
        if not stream.is_ended:
            self._remember(stream.number, SWALLOWED_BYTES)
        if not self.streams:
            self.since = self.service.now
            if self._has_left:
                self._close_if_done()

    def _close_if_done(self) -> None:
        if not self.streams:
            self.is_over = True
            self.sender.close()

    def _remember(self, number: int, swallowed: int = 0) -> None:
        """What still comes for it was on its way when it ended."""
        self._cut[number] = swallowed
        if len(self._cut) > _KEPT_CUTS:
            del self._cut[next(iter(self._cut))]

    def hold(self, stream: Stream, size: int) -> None:
        """Another part of a message came."""
        self.held += size
        most = self.service.most_held
        if 0 <= most < self.held:
            text = f"messages of this connection that are not whole are greater than {most} bytes"
            stream.fail(StatusError(Code.RESOURCE_EXHAUSTED, text))
