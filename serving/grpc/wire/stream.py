"""One call: the messages that come in, and what is answered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

from serving.grpc.calls import told
from serving.grpc.methods import Streaming
from serving.grpc.wire import blocks, coding
from serving.grpc.wire.frames import BrokenStreamError, Why
from serving.grpc.wire.heads import Head
from serving.interface import Code, StatusError

if TYPE_CHECKING:
    from serving.grpc.wire.connection import Connection
    from serving.guard.certificates import Peer

SWALLOWED_BYTES = 64 * 1024
"""Of what nobody reads, before the client is told to stop."""
MOST_WAITING = 100
"""Messages of one call that wait to be read."""
_NONE = -1


class Stream:
    """What a transport knows of who asks (`serving.grpc.front.Asking`), too.

    Args:
        deadline: the client's, by `time.monotonic`.
        began: when its headers came, likewise.

    Attributes:
        is_ended: the client sends no more; `is_over`: neither do we.
        has_begun: headers were sent.
        window: what the client takes still [bytes]; `owed`: what it may not send again before we say so.
        coding: what the answer is compressed by.
        message: the request, where there is one only; `is_compressed` whether it still is.
        cancel: gives up what is under way; None where nothing is.
        unsent: pieces of messages; `trailers` follow them.
        heard: when something came or went, by the service's clock.
    """

    __slots__ = (
        "_compressed", "_missing", "_part", "_prefix", "_waiting", "_waits", "_wants_room",
        "began", "cancel", "coding", "connection", "deadline", "has_begun", "head", "heard", "is_compressed",
        "is_ended", "is_over", "message", "number", "owed", "received", "trailers", "unsent", "window",
    )  # fmt: skip

    def __init__(self, connection: Connection, number: int, head: Head, deadline: float | None, began: float) -> None:
        self.connection = connection
        self.number = number
        self.head = head
        self.deadline = deadline
        self.began = began
        self.heard = connection.service.now
        self.window = connection.sender.first_window
        self.owed = self.received = 0
        self.is_ended = self.is_over = self.has_begun = self.is_compressed = False
        self.coding = ""
        self.message: bytes | bytearray | None = None
        self.cancel: Callable[[], object] | None = None
        self.unsent: deque[memoryview] = deque()
        self.trailers: bytes | None = None
        self._missing = _NONE
        self._prefix = b""
        self._part: bytearray | None = None
        self._compressed = False
        self._waiting: deque[bytes | bytearray] = deque()
        self._waits: asyncio.Future[None] | None = None
        self._wants_room: asyncio.Future[None] | None = None

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        return self.head.metadata

    @property
    def client(self) -> str:
        return self.connection.client

    @property
    def certificate(self) -> Peer | None:
        return self.connection.certificate

    @property
    def is_partial(self) -> bool:
        """Whether a message began and is not whole."""
        return self._missing != _NONE or bool(self._prefix)

    @property
    def takes_many(self) -> bool:
        return isinstance(self.head.method, Streaming) and not self.head.method.takes_one

    # what comes in

    def take(self, data: bytes, at: int, end: int) -> None:
        """Bytes of a DATA frame: of a part of a message, of one, or of several."""
        self.received += end - at
        if self.head.method is None:
            if self.received > SWALLOWED_BYTES:
                self.refuse()
            return
        while at < end and not self.is_over:
            if self._missing == _NONE:
                if not self._prefix and end - at >= 5:
                    flag, size = data[at], int.from_bytes(data[at + 1 : at + 5], "big")
                    at += 5
                else:
                    more = data[at : min(end, at + 5 - len(self._prefix))]
                    at += len(more)
                    self._prefix += more
                    if len(self._prefix) < 5:
                        return
                    flag, size = self._prefix[0], int.from_bytes(self._prefix[1:], "big")
                    self._prefix = b""
                self._begin(flag, size)
            at = self._fill(data, at, end)

    def _begin(self, flag: int, size: int) -> None:
        most = self.connection.service.most_message
        if 0 <= most < size:
            self.fail(coding.too_large(most))
        elif flag > 1:
            self.fail(StatusError(Code.INVALID_ARGUMENT, f"a message with the flag {flag}, which means nothing"))
        elif flag and not self.head.encoding:
            text = "a message is compressed, and the header grpc-encoding does not say by what"
            self.fail(StatusError(Code.INVALID_ARGUMENT, text))
        self._compressed = flag == 1
        self._missing = size

    def _fill(self, data: bytes, at: int, end: int) -> int:
        if self.is_over:
            return end
        size = min(end - at, self._missing)
        if size == self._missing and self._part is None:
            message: bytes | bytearray = data[at : at + size]
        elif self._grow(memoryview(data)[at : at + size]):
            return at + size
        else:
            assert self._part is not None
            message, self._part = self._part, None
            self.connection.held -= len(message)
        self._missing = _NONE
        self._whole(message)
        return at + size

    def _grow(self, more: memoryview) -> bool:
        """Another part of a message; whether more is to come, or nobody waits for it any more."""
        if self._part is None:
            self._part = bytearray()  # grows as it comes: what is only announced takes nothing
        self._part += more
        self._missing -= len(more)
        self.connection.hold(self, len(more))
        return self.is_over or self._missing > 0

    def _whole(self, message: bytes | bytearray) -> None:
        self.is_compressed = self._compressed
        if self._compressed:
            self.coding = self.head.answer
        if self.takes_many:
            self._push(message)
        elif self.message is not None:
            self.fail(StatusError(Code.UNIMPLEMENTED, "the method takes one message, and more came"))
        else:
            self.message = message

    def end(self) -> None:
        """The client sends no more.

        Raises:
            BrokenStreamError: it said that it would send more or less.
        """
        self.is_ended = True
        if self.head.length is not None and self.head.length != self.received:
            raise BrokenStreamError(self.number, Why.PROTOCOL_ERROR)
        if self.head.method is None:
            self.refuse()
        elif self.is_partial:
            self.fail(StatusError(Code.INVALID_ARGUMENT, "the last message is cut off"))
        elif self.takes_many:
            self._wake()
        elif self.message is None:
            self.fail(StatusError(Code.UNIMPLEMENTED, "the method takes one message, and none came"))
        else:
            self.connection.service.carrier.carry(self)

    def _push(self, message: bytes | bytearray) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self.fail(StatusError(Code.RESOURCE_EXHAUSTED, f"more than {MOST_WAITING} messages wait to be read"))
            return
        if self._compressed:
            try:
                message = coding.inflate(message, self.head.encoding, coding.MOST_QUICK)
            except StatusError as error:
                self.fail(error)
                return
        self._waiting.append(message)
        self._wake()

    def _wake(self) -> None:
        if self._waits is not None and not self._waits.done():
            self._waits.set_result(None)

    async def requests(self) -> AsyncIterator[bytes]:
        """The messages of a method that takes many, as they come."""
        while True:
            while self._waiting:
                yield bytes(self._waiting.popleft())
            if self.is_ended or self.is_over:
                return
            self._waits = asyncio.get_running_loop().create_future()
            await self._waits
            self._waits = None

    # what goes out

    def answer(self, raw: bytes) -> None:
        """The only message, and the end."""
        if self.is_over or self.trailers is not None:
            return
        if self.connection.sender.answer(self, raw):
            self._over()
            return
        self._queue(raw)
        self.finish()

    async def send(self, raw: bytes) -> None:
        """One of several messages; returns when there is room for another."""
        if self.is_over or self.trailers is not None:
            return
        self._queue(raw)
        if len(self.unsent) > 1:
            self._wants_room = asyncio.get_running_loop().create_future()
            await self._wants_room
            self._wants_room = None

    def _queue(self, raw: bytes) -> None:
        sender = self.connection.sender
        if not self.has_begun:
            self.has_begun = True
            sender.headers(self.number, blocks.begin(self.coding) if self.coding else blocks.BEGIN)
        is_compressed = bool(self.coding) and coding.is_worth(len(raw))
        message = coding.deflate(raw, self.coding) if is_compressed else raw
        self.heard = self.connection.service.now
        sender.queue(self, message, is_compressed=is_compressed)

    def finish(self) -> None:
        """All went well."""
        if self.is_over or self.trailers is not None:
            return
        if not self.has_begun:
            self.has_begun = True
            self.connection.sender.headers(self.number, blocks.BEGIN)
        self._trail(blocks.OK)

    def fail(self, error: Exception) -> None:
        """End the call with an error; what was not sent is not."""
        if not self.is_over and self.trailers is None:
            self.unsent.clear()
            self._trail(blocks.failed(told(error), is_first=not self.has_begun))

    def refuse(self) -> None:
        """Answer what is no call."""
        self._trail(self.head.refusal)

    def _trail(self, block: bytes) -> None:
        if self.unsent:
            self.trailers = block
            return
        self.connection.sender.headers(self.number, block, is_last=True)
        self._over()

    def moved(self) -> None:
        """A piece was sent."""
        self.heard = self.connection.service.now
        if self.unsent:
            return
        if self._wants_room is not None and not self._wants_room.done():
            self._wants_room.set_result(None)
        if self.trailers is not None:
            self._trail(self.trailers)

    def _over(self) -> None:
        self.cut()
        self.connection.finished(self)

    def cut(self) -> None:
        """It is over: give up what is under way. Whoever answers sets `cancel` to None before."""
        self.is_over = True
        if self._part is not None:
            self.connection.held -= len(self._part)
            self._part = None
        self.message = None
        self.unsent.clear()
        self.connection.sender.forget(self)
        self._wake()
        if self._wants_room is not None and not self._wants_room.done():
            self._wants_room.set_result(None)
        if self.cancel is not None:
            cancel, self.cancel = self.cancel, None
            cancel()
