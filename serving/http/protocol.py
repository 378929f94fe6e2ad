"""One connection: HTTP/1.1 with keep-alive, pipelining in order, limits and a place where slow clients end.

llhttp (httptools) parses; what it leaves to its caller is here: sizes, `Expect`, abandoned requests, deadlines, the lingering
close that lets a client read why it was refused.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, cast

import httptools

from serving.http.heads import Head, begins_http2
from serving.http.messages import Exchange, Request, Response, error, head, origin_form

if TYPE_CHECKING:
    from serving.http.listener import Listener

LINGER_SECONDS = 2.0
CLIENT_LEFT = 499
"""Stands for the status of a request whose client did not wait for one."""
LARGE_BODY_BYTES = 1024 * 1024
MOST_OVERHEAD = 16
"""Bytes around each byte of a chunked body, beyond what headers may have."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(asyncio.Protocol):
    """A client's connection. `deadline` is when the listener's sweep calls `expire`."""

    __slots__ = (
        "_body",
        "_body_room",
        "_body_size",
        "_body_started",
        "_certificate",
        "_client",
        "_exchanges",
        "_first",
        "_header_bytes",
        "_headers",
        "_in_body",
        "_in_message",
        "_is_continue_due",
        "_is_draining",
        "_is_ending",
        "_is_new",
        "_is_write_paused",
        "_known",
        "_known_left",
        "_listener",
        "_overhead",
        "_parser",
        "_target",
        "_transport",
        "_unsent",
        "_upgrade_left",
        "deadline",
    )

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._parser: Any = httptools.HttpRequestParser(self)
        self._exchanges: deque[Exchange] = deque()
        self._transport: asyncio.Transport
        self.deadline: float | None = None
        self._is_draining = False
        self._is_ending = False
        self._is_new = True
        self._is_write_paused = False
        self._in_message = False
        self._unsent = 0
        self._reset()

    def _reset(self) -> None:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._body_room: bytearray | None = None
        self._body_size = 0
        self._body_started = 0.0
        self._in_body = False
        self._overhead = 0
        self._is_continue_due = False
        self._upgrade_left = 0
        self._first = b""
        self._known: Head | None = None
        self._known_left = 0

    # the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        self._certificate = transport.get_extra_info("peercert")
        self.deadline = self._listener.now() + self._listener.limits.header_seconds
        self._listener.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_ending = True
        self.deadline = None
        for exchange in self._exchanges:
            if exchange.data is not None:
                continue
            self._listener.answered(exchange, CLIENT_LEFT)
            if exchange.on_abandon is not None:
                exchange.on_abandon()
        for exchange in self._exchanges:
            exchange.forget()
        self._exchanges.clear()
        self._listener.closed(self)

    def eof_received(self) -> bool:
        # A client may shut its sending side and still read: answer what it asked, then close.
        if self._exchanges:
            self._exchanges[-1].closes = True
            return True
        return False

    def pause_writing(self) -> None:
        self._is_write_paused = True
        self._transport.pause_reading()
        self._watch_writing()

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._settle()

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way: being received, or not answered in full."""
        return bool(self._exchanges) or self._in_message or self._transport.get_write_buffer_size() > 0

    @property
    def under_way(self) -> int:
        return len(self._exchanges)

    def drain(self) -> None:
        """End after what is under way; the answer says so."""
        self._is_draining = True

    def close_if_idle(self) -> None:
        if not self.is_busy:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def expire(self) -> None:
        """The deadline has passed."""
        if self._unsent:
            self._check_writing()
        elif self._is_ending or self._exchanges:
            self._transport.abort()
        elif self._in_message:
            self._refuse(408, "the request did not arrive in time")
        else:
            self._transport.close()

    def _watch_writing(self) -> None:
        self._unsent = self._transport.get_write_buffer_size()
        self.deadline = self._listener.now() + self._listener.limits.stall_seconds

    def _check_writing(self) -> None:
        """A client that reads slowly may; one that does not read at all is cut off."""
        left = self._transport.get_write_buffer_size()
        if left >= self._unsent:
            self._transport.abort()
        elif left:
            self._watch_writing()
        else:
            self._unsent = 0
            self.deadline = self._deadline_of_reading()
            self._settle()

    def _deadline_of_reading(self) -> float | None:
        """Anew, for what the deadline of writing stood in for."""
        limits = self._listener.limits
        if self._is_ending:
            return self._listener.now() + LINGER_SECONDS
        if not self._in_message:
            return None
        return self._listener.now() + (limits.stall_seconds if self._in_body else limits.header_seconds)

    # what comes in

    def data_received(self, data: bytes) -> None:
        if self._is_ending:
            return
        if self._upgrade_left:
            self._rest_of_upgrade(data)
            return
        if self._is_new:
            self._is_new = False
            if self._listener.http2 is not None and begins_http2(data):
                self._leave(data)
                return
        while data and not self._is_ending:
            if self._known is not None:
                data = self._take_known(data)
            elif not self._in_message and (found := self._listener.heads.find(data)) is not None:
                data = self._begin_known(*found, data)
            else:
                self._feed_parser(data)
                return

    def _feed_parser(self, data: bytes) -> None:
        if self._in_body:
            self._overhead += len(data)
        else:
            if not self._in_message:
                self._first = data
            self._count_header(len(data))
        self._feed(data)
        self._check_header_size()

    def _begin_known(self, head: Head, start: int, length: int, data: bytes) -> bytes:
        """A request whose head has come before; what lies behind it in `data`."""
        end = start + length
        if end <= len(data) and length <= self._listener.limits.body_bytes:  # nearly always: all of it is there
            self._start_exchange(head.method, head.target, head.headers, data[start:end])
            return data[end:]
        if length > self._listener.limits.body_bytes:
            self._in_message = True
            self._refuse_body()
            return b""
        self._known, self._known_left = head, length
        self._in_message = self._in_body = True
        self._expect_body(length)
        return self._take_known(data[start:])

    def _take_known(self, data: bytes) -> bytes:
        """More of the body of such a request."""
        head = self._known
        assert head is not None
        piece = data[: self._known_left]
        self._known_left -= len(piece)
        if piece:
            self._overhead += len(piece)
            self.on_body(piece)
        if not self._known_left and not self._is_ending:
            self._known = None
            self._start_exchange(head.method, head.target, head.headers, self._whole_body())
        return data[len(piece) :]

    def _leave(self, data: bytes) -> None:
        """It speaks HTTP/2: others look after it from now on."""
        assert self._listener.http2 is not None
        self._is_ending = True
        self.deadline = None
        self._listener.closed(self)
        self._listener.http2(self._transport, data)

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._rest_of_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            if not self._is_ending:
                raise
        except httptools.HttpParserError as problem:
            if not self._is_ending:
                self._refuse(400, f"malformed HTTP: {problem}")

    def _check_header_size(self) -> None:
        most = self._listener.limits.header_bytes
        if self._is_ending:
            return
        if not self._in_body and self._header_bytes > most:
            self._refuse(431, f"request line and headers are greater than {most} bytes")
        elif self._in_body and self._overhead > most + MOST_OVERHEAD * self._body_size:
            self._refuse(431, f"trailers and extensions of chunks are greater than {most} bytes")

    def _count_header(self, size: int) -> None:
        if not self._in_message:
            self._in_message = True
            self.deadline = self._listener.now() + self._listener.limits.header_seconds
        self._header_bytes += size

    def on_message_begin(self) -> None:
        self._in_message = True
        self.deadline = self._listener.now() + self._listener.limits.header_seconds

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes | None) -> None:
        if self._in_body:
            return  # trailers say nothing that a route may go by (RFC 9110, section 6.5.1)
        name = name.lower()
        before = self._headers.get(name)
        # One that comes several times is a list (RFC 9110, section 5.3); to take one of them is what smuggling lives on.
        self._headers[name] = value or b"" if before is None else b"%b, %b" % (before, value or b"")

    def on_headers_complete(self) -> None:
        limits = self._listener.limits
        self._in_body = True
        size = sum(len(name) + len(value) + 4 for name, value in self._headers.items()) + len(self._target)
        if size > limits.header_bytes:
            self._refuse(431, f"request line and headers are greater than {limits.header_bytes} bytes")
            return
        length = self._headers.get(b"content-length")
        if length is not None and int(length) > limits.body_bytes:
            self._refuse_body()
            return
        self._expect_body(int(length) if length is not None else 0)
        expect = self._headers.get(b"expect")
        if expect is None or self._parser.get_http_version() == "1.0":
            return  # HTTP/1.0 knows no answers in between (RFC 9110, section 10.1.1)
        if expect.lower() != b"100-continue":
            self._refuse(417, f"cannot do what Expect asks: {expect.decode('latin-1')}")
        elif self._exchanges:
            self._is_continue_due = True
        else:
            self._transport.write(CONTINUE)

    def _expect_body(self, length: int) -> None:
        if length >= LARGE_BODY_BYTES:
            # Memory for it at once, where joining its pieces would need it twice. What does not come is never touched.
            self._body_room = bytearray(length)
        self._body_started = self._listener.now()
        self.deadline = self._body_started + self._listener.limits.stall_seconds

    def on_body(self, chunk: bytes) -> None:
        if self._is_ending:
            return
        self._body_size += len(chunk)
        self._overhead -= len(chunk)
        limits = self._listener.limits
        if self._body_size > limits.body_bytes:
            self._refuse_body()
            return
        if self._body_room is not None:
            self._body_room[self._body_size - len(chunk) : self._body_size] = chunk
        else:
            self._body.append(chunk)
        now = self._listener.now()
        slowest = self._body_started + limits.stall_seconds + self._body_size / limits.body_bytes_per_second
        self.deadline = min(now + limits.stall_seconds, slowest)

    def on_message_complete(self) -> None:
        if self._is_ending:
            return
        if self._parser.should_upgrade():
            # We upgrade to nothing, and say so by answering as usual. llhttp stops here, in front of the body.
            self._upgrade_left = int(self._headers.get(b"content-length", b"0"))
            if b"transfer-encoding" in self._headers:
                self._refuse(501, "a chunked body with Upgrade is not supported")
                return
            if self._upgrade_left:
                return
        self._dispatch(closes=self._parser.should_upgrade() or not self._parser.should_keep_alive())

    def _rest_of_upgrade(self, data: bytes) -> None:
        if self._is_ending or not self._upgrade_left or not data:
            return
        piece = data[: self._upgrade_left]
        self._upgrade_left -= len(piece)
        self.on_body(piece)
        if not self._upgrade_left and not self._is_ending:
            self._dispatch(closes=True)

    def _whole_body(self) -> bytes:
        if self._body_room is not None:
            return cast(bytes, self._body_room)
        return self._body[0] if len(self._body) == 1 else b"".join(self._body)

    def _dispatch(self, *, closes: bool) -> None:
        target = self._target if self._target[:1] == b"/" else origin_form(self._target)
        method, headers = self._parser.get_method(), self._headers
        is_1_0 = self._parser.get_http_version() == "1.0"
        if self._first and not closes and not is_1_0:
            self._listener.heads.learn(self._first, Head(method, target, headers))
        self._start_exchange(method, target, headers, self._whole_body(), closes=closes, is_1_0=is_1_0)

    def _start_exchange(
        self,
        method: bytes,
        target: bytes,
        headers: dict[bytes, bytes],
        body: bytes,
        *,
        closes: bool = False,
        is_1_0: bool = False,
    ) -> None:
        request = Request(method, target, headers, body)
        exchange = Exchange(request, lambda response: self._respond(exchange, response, is_1_0=is_1_0))
        exchange.closes = closes
        exchange.began = time.monotonic()
        exchange.client = self._client
        exchange.certificate = self._certificate
        self._exchanges.append(exchange)
        self._reset()
        self._in_message = False
        self.deadline = None
        if closes:
            self._is_ending = True  # what comes behind is not ours to read
        if len(self._exchanges) >= self._listener.limits.pipelined:
            self._transport.pause_reading()
        self._listener.handle(exchange)

    # what goes out

    def _respond(self, exchange: Exchange, response: Response, *, is_1_0: bool) -> None:
        if exchange.data is not None or self._transport.is_closing():
            return
        exchange.closes = exchange.closes or response.closes or self._is_draining
        call = exchange.call
        if call is not None:
            call.response_bytes = len(response.body)
            if call.request_id:
                response.extra += b"X-Request-Id: %b\r\n" % call.request_id.encode()
        top = head(
            response,
            closes=exchange.closes,
            keeps_alive_1_0=is_1_0 and not exchange.closes,
            date=self._listener.date_line,
        )
        exchange.data = top if exchange.request.method == b"HEAD" else top + response.body
        self._listener.answered(exchange, response.status)
        self._flush()

    def _flush(self) -> None:
        exchanges = self._exchanges
        while exchanges and exchanges[0].data is not None:
            exchange = exchanges.popleft()
            assert exchange.data is not None
            self._transport.write(exchange.data)
            exchange.forget()
            if exchange.closes:
                self._is_ending = True
                self._transport.close()
                if self._transport.get_write_buffer_size():
                    self._watch_writing()
                return
        if self._is_continue_due and not exchanges:
            self._is_continue_due = False
            self._transport.write(CONTINUE)
        self._settle()

    def _settle(self) -> None:
        """Read on if there is room, and set the deadline for what comes next."""
        if self._transport.is_closing() or self._is_write_paused:
            return
        if len(self._exchanges) < self._listener.limits.pipelined:
            self._transport.resume_reading()
        if self._exchanges or self._in_message:
            return
        if self._transport.get_write_buffer_size():
            self._watch_writing()
        else:
            self.deadline = self._listener.now() + self._listener.limits.idle_seconds

    def _refuse_body(self) -> None:
        self._refuse(413, f"the body is greater than {self._listener.limits.body_bytes} bytes")

    def _refuse(self, status: int, message: str) -> None:
        """Answer and end, in the order of what was asked before; what still comes in is thrown away."""
        if self._is_ending:
            return
        self._is_ending = True
        response = error(status, message, closes=True)
        data = head(response, closes=True, keeps_alive_1_0=False, date=self._listener.date_line) + response.body
        if self._exchanges:
            refused = Exchange(Request(b"", b"", {}), lambda _: None, data=data, closes=True)
            self._exchanges.append(refused)
            return
        self._transport.write(data)
        self.deadline = self._listener.now() + LINGER_SECONDS
        if self._transport.can_write_eof():
            self._transport.write_eof()
