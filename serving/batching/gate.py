"""Turns for the long batches of a worker's models, so that many of them at once do not hold memory and caches against each other.

Short batches never wait: the operating system gives a thread that has slept its share of the processor at once, and a queue for slots
would only take that away. A fast model beside a slow one, on one core: p50 of 0.16 ms without turns, of 44 ms where each batch takes
its turn.
"""

from __future__ import annotations

import threading
from collections import deque

LONG_SECONDS = 0.05


class Gate:
    """Shared by the batchers of one worker. Whoever waits is let in in the order of coming, however many rows it brings.

    Args:
        slots: long batches that are computed at once.
        long_seconds: batches that are expected to take less do not wait [s].
    """

    def __init__(self, slots: int, *, long_seconds: float = LONG_SECONDS) -> None:
        self._free = slots
        self._long_seconds = long_seconds
        self._lock = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()

    @property
    def waiting(self) -> int:
        """Batchers that wait for a slot."""
        return len(self._waiting)

    def enter(self, seconds: float) -> bool:
        """Wait for a slot where the batch is expected to take long. Whether there is one to `leave` afterwards.

        Nobody waits longer than its own batch will take: then it goes on beside the others, and no model is slowed down to less than
        half by one whose batches take far longer.
        """
        if seconds < self._long_seconds:
            return False
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        return turn.acquire(timeout=seconds) or self._has_turn(turn)

    def leave(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()  # the slot goes on to the next, it is never free in between
            else:
                self._free += 1

    def _has_turn(self, turn: threading.Lock) -> bool:
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
        return True  # it was given just now
