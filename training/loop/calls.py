"""Several steps in one call of the compiled loop: a call costs about a millisecond, which a small model's step does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from training.contract import Array
from training.loop.learner import Learner
from training.loop.progress import Progress
from training.loop.stopping import StopSignal

CALL_SECONDS = 0.05
"""How long a call may take: stops, events and checkpoints wait for its end."""

MOST = 256
TRIED = 3
"""Steps that are timed, one a call, after the one that compiles."""


class Calls:
    """Learns from the batches of an epoch, call by call. How many steps a call has is chosen once in a run and kept in its progress:
    it changes no result, but a resumed run is to go on as it began."""

    def __init__(
        self, learner: Learner, feed: Any, chosen: int, progress: Progress, clock: Callable[[], float]
    ) -> None:
        self._learner = learner
        self._feed = feed
        self._steps = learner.steps_of(feed)
        self._progress = progress
        self._clock = clock
        self._times: list[float] = []
        self._source: Any = None
        self._begun = 0
        if chosen:
            progress.steps_per_call = chosen

    def begin(self, rows: Array) -> None:
        """Go on with an epoch of that order where the progress stands."""
        self._begun = self._progress.batch
        self._source = self._feed.begin(rows, self._begun)

    def go(self, in_all: int) -> None:
        """One call; never over the end of the epoch, which has `in_all` batches."""
        progress = self._progress
        count = min(progress.steps_per_call or 1, in_all - progress.batch)
        began = self._clock()
        self._steps(self._source, progress.batch - self._begun, count)
        progress.step += count
        progress.batch += count
        if not progress.steps_per_call:
            self._learner.wait()
            self._choose(self._clock() - began)

    def settle(self, stop: StopSignal | None = None) -> None:
        """Every step that the progress counts has been handed to the device, in order: there is nothing to wait for."""

    def _choose(self, seconds: float) -> None:
        self._times.append(seconds)
        if len(self._times) <= TRIED:
            return
        fitting = CALL_SECONDS / max(min(self._times[1:]), 1e-6)
        chosen = max(1, min(MOST, 1 << max(int(fitting).bit_length() - 1, 0)))
        self._progress.steps_per_call = int(self._learner.group.from_chief([chosen])[0])
