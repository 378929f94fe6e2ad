"""What samples wait in, and how many may."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from serving.backends.base import Array

CHUNK_BYTES = 1024 * 1024
CHUNK_SECONDS = 60.0
WAITING_BYTES = 16 * 1024 * 1024
"""Of copied tensors; of encoded lines that could not be written yet as much again."""


def first_rows(tensors: Mapping[str, Array], rows: int, first: slice) -> dict[str, Array]:
    """The first rows of tensors that have them; of others all."""
    return {
        name: value[first] if value.ndim and len(value) == rows else value
        for name, value in ((name, np.asarray(value)) for name, value in tensors.items())
    }


def size_of(value: Array) -> int:
    if value.dtype != object:
        return value.nbytes
    return sum(len(text) if isinstance(text, bytes | str) else 64 for text in value.ravel().tolist())


class Budget:
    """So many samples and bytes in any minute, spread over it: half may come at once, the rest as time goes."""

    def __init__(self, samples: int, size: int) -> None:
        self._most = (max(samples / 2, 1.0), size / 2)
        self._left = list(self._most)
        self._last = 0.0

    def allows(self, now: float, size: int) -> bool:
        passed = min(max(now - self._last, 0.0), 60.0)
        self._last = now
        for at, most in enumerate(self._most):
            self._left[at] = min(self._left[at] + most * passed / 60.0, most)
        if self._left[0] < 1 or self._left[1] < size:
            return False
        self._left[0] -= 1
        self._left[1] -= size
        return True


class Chunk:
    """Lines for one object."""

    def __init__(self) -> None:
        self.lines: deque[bytes] = deque()
        self._size = 0
        self._due = 0.0
        self._is_late = False

    def add(self, line: bytes, now: float) -> int:
        """How many of the oldest lines had to go for it."""
        if not self.lines:
            self._due = now + CHUNK_SECONDS
        self.lines.append(line)
        self._size += len(line)
        gone = 0
        while self._size > WAITING_BYTES:
            self._size -= len(self.lines.popleft())
            gone += 1
        return gone

    def is_full(self, now: float) -> bool:
        return bool(self.lines) and ((self._size >= CHUNK_BYTES and not self._is_late) or now >= self._due)

    def begin_again(self, now: float) -> None:
        """It could not be written: try again later, not with the next line."""
        self._is_late = True
        self._due = now + CHUNK_SECONDS / 4
