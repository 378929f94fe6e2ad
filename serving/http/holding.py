"""Refusals that wait a moment, where so many are to be told that telling them would take the time to compute.

A client whose request was refused asks again as soon as it hears of it, or sends its next. Under a flood the answer comes a quarter of a
second later: far sooner than its Retry-After, and until then that client asks nothing. Each connection can so cause four refusals a
second, and no more of the machine than that goes into saying no.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from serving.http.messages import Exchange, Response

WINDOW_SECONDS = 0.1
FLOOD = 50
"""Refusals in a window, from which on the next ones wait."""
HOLD_SECONDS = 0.25
LONGEST = 8192
"""More than this wait for nobody."""


class Holding:
    """The refusals of one worker. Lives in the event loop's thread.

    Args:
        clock: seconds, as the loop's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float] | None = None) -> None:
        self._loop = loop
        self._now = clock or loop.time
        self._window = 0.0
        self._count = 0
        self._waiting: deque[tuple[float, Exchange, Response]] = deque()
        self._is_waking = False

    def tell(self, exchange: Exchange, response: Response) -> None:
        """Answer, now or in a moment."""
        now = self._now()
        if now - self._window >= WINDOW_SECONDS:
            self._window, self._count = now, 0
        self._count += 1
        if self._count <= FLOOD or len(self._waiting) >= LONGEST:
            exchange.respond(response)
            return
        exchange.request.body = b""
        self._waiting.append((now + HOLD_SECONDS, exchange, response))
        if not self._is_waking:
            self._is_waking = True
            self._loop.call_later(HOLD_SECONDS, self._wake)

    def _wake(self) -> None:
        now = self._now()
        waiting = self._waiting
        while waiting and waiting[0][0] <= now:
            _, exchange, response = waiting.popleft()
            exchange.respond(response)
        self._is_waking = bool(waiting)
        if waiting:
            self._loop.call_later(max(0.01, waiting[0][0] - now), self._wake)
