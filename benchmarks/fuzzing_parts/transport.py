"""A transport of memory, as strict as a socket's: what must not be written, or written then, is an error."""

from __future__ import annotations

import asyncio
from typing import Any


class MemoryTransport(asyncio.Transport):
    """
    Args:
        holds: whether what is written stays in the buffer until `take_all`, as with a client that does not read.
    """

    def __init__(self, protocol: Any, loop: asyncio.AbstractEventLoop, *, holds: bool = False) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000)})
        self._protocol = protocol
        self._loop = loop
        self._holds = holds
        self._is_closing = False
        self._is_paused = False
        self._is_pause_told = False
        self.has_eof = False
        self.is_lost = False
        self.sent: list[bytes] = []
        self.held = 0
        self.changed = asyncio.Event()

    # what the server does

    def write(self, data: Any) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"write of {type(data).__name__}")
        if self.has_eof:
            raise RuntimeError("write after write_eof")
        self.changed.set()
        if self.is_lost or self._is_closing:
            return
        self.sent.append(bytes(data))
        if self._holds:
            self.held += len(data)
            if self.held > 65536 and not self._is_pause_told:
                self._is_pause_told = True
                self._protocol.pause_writing()

    def write_eof(self) -> None:
        self.has_eof = True
        self.changed.set()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self.changed.set()
        if not self.held:
            self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        self._is_closing = True
        self.held = 0
        self.changed.set()
        self._loop.call_soon(self._lose, None)

    def is_closing(self) -> bool:
        return self._is_closing

    def get_write_buffer_size(self) -> int:
        return self.held

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        if self._is_closing:
            return
        self._is_paused = False
        self.changed.set()

    # what the client does

    @property
    def is_readable(self) -> bool:
        return not self._is_paused and not self._is_closing

    def take_all(self) -> None:
        """The client reads what waits for it."""
        self.held = 0
        self._holds = False
        if self._is_pause_told:
            self._is_pause_told = False
            self._protocol.resume_writing()
        if self._is_closing and not self.is_lost:
            self._loop.call_soon(self._lose, None)

    def reset(self) -> None:
        """The client is gone."""
        self._is_closing = True
        self.held = 0
        self._lose(ConnectionResetError("reset by the fuzzer"))

    def _lose(self, error: Exception | None) -> None:
        if not self.is_lost:
            self.is_lost = True
            self.changed.set()
            self._protocol.connection_lost(error)
