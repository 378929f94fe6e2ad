"""How a run is asked to stop: SIGTERM. The loop saves first; everywhere else there is nothing to save and it stops at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """Raised where a stop is due. What is worth keeping has been saved."""


class StopSignal:
    """Remembers a SIGTERM. Outside of `deferred` the signal raises Stopped where the main thread stands."""

    def __init__(self) -> None:
        self.asked = False
        self._is_deferred = False

    def install(self) -> None:
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, only `asked` is set: whoever looks saves first."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
        self.check()

    def check(self) -> None:
        if self.asked:
            raise Stopped

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if not self._is_deferred:
            raise Stopped
