"""What one connection may make us do beside calls, counted by the second.

Each of these frames is small for the client and work for us (CVE-2019-9512 and those beside it, CVE-2023-44487, CVE-2024-27316). gRPC's
own clients send a few pings a second and a window update or two for each answer.
"""

from __future__ import annotations

from serving.grpc.wire.frames import BrokenConnectionError, Why

CONTROLS = 500
"""PING, SETTINGS, PRIORITY, frames that are unknown or empty or for streams that are over, each second."""
UPDATES = 2000
"""WINDOW_UPDATE each second, beside those for what was sent: 4 for each call, 1 for each KB."""
RESETS = 200
"""RST_STREAM each second of calls that are younger than `YOUNG_SECONDS`. More are taken where they are at most half of the calls."""
YOUNG_SECONDS = 0.1


class Floods:
    """The counts of one connection in the running second."""

    __slots__ = ("_began", "_calls", "_controls", "_faults", "_resets", "_updates", "sent")

    def __init__(self, now: float) -> None:
        self._began = now
        self._calls = self._controls = self._resets = self._updates = self._faults = 0
        self.sent = 0
        """Bytes of messages."""

    def call(self, now: float) -> None:
        self._turn(now)
        self._calls += 1

    def control(self, now: float) -> None:
        """
        Raises:
            BrokenConnectionError: too many.
        """
        self._turn(now)
        self._controls += 1
        if self._controls > CONTROLS:
            raise BrokenConnectionError(Why.ENHANCE_YOUR_CALM, "too many control frames")

    def update(self, now: float) -> None:
        """A window update, or a reset of a stream that is over already: deadlines pass on both sides at once."""
        self._turn(now)
        self._updates += 1
        if self._updates > UPDATES + 4 * self._calls + self.sent // 1024:
            raise BrokenConnectionError(Why.ENHANCE_YOUR_CALM, "too many window updates")

    def reset(self, now: float) -> None:
        """Of a young call. What is older was worth its while: many may end by one deadline."""
        self._turn(now)
        self._resets += 1
        if self._resets > RESETS and self._resets * 2 > self._calls:
            raise BrokenConnectionError(Why.ENHANCE_YOUR_CALM, "too many streams are reset")

    def fault(self, now: float) -> None:
        """A stream was broken so that we reset it."""
        self._turn(now)
        self._faults += 1
        if self._faults > RESETS:
            raise BrokenConnectionError(Why.ENHANCE_YOUR_CALM, "too many streams are broken")

    def _turn(self, now: float) -> None:
        if now - self._began >= 1.0:
            self._began = now
            self._calls = self._controls = self._resets = self._updates = self._faults = self.sent = 0
