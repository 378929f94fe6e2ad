"""Learning with parameter servers: the chief hands steps to whichever worker is free, and none waits for another.

The weights lie on the servers. A step that was handed out is done once at least: one that a dying worker has begun is done again by
another. Steps that are under way together start from weights that lack each other's, in an order that nobody fixes: the same run
twice gives two models, as good as each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Any

from training.cluster.losing import GroupLostError
from training.contract import Array
from training.loop.calls import CALL_SECONDS, MOST, TRIED
from training.loop.learner import Learner
from training.loop.lent import Held, Sent
from training.loop.progress import Progress
from training.loop.stopping import StopSignal

AHEAD = 2
"""Calls for each worker that are handed out: one that it does, one that waits for it."""

LOOK_SECONDS = 0.1
STALL_SECONDS = 600.0
"""How long no worker may finish anything before the group begins anew [s]."""

STOP_SECONDS = 3.0
"""How long a stop waits for steps under way [s]; those that it leaves are done again."""


class ServedLearner(Learner):
    """A learner with its variables on parameter servers, and a twin of it with copies in this process, to be judged and saved."""

    def __init__(self, *arguments: Any, twin: Learner, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._twin = twin

    def judge(self) -> Learner:
        for own, value in zip(self._twin.weights, self.weights, strict=True):
            own.assign(value)
        return self._twin

    def call_of(self, feed: Held | Sent) -> Any:
        """A function for the workers: learns from the batches in its arguments, of which the first is the step of that number."""
        tf, group = self.tf, self.group

        def learn(step: Any, *given: Any) -> None:
            for number in tf.range(feed.count(given)):
                now = step + tf.cast(number, tf.int64)
                # Counted by the chief: two workers that count up at the same time count one.
                self.optimizer.iterations.assign(tf.cast(now, self.optimizer.iterations.dtype) - 1)
                batch = feed.fetch(given, number)
                self._count(group.strategy.run(self._share_of(feed), args=(batch,)), now)

        return tf.function(learn, input_signature=[tf.TensorSpec([], tf.int64), *feed.signature])


class Handed:
    """Hands out the batches of an epoch, several steps a call; the counterpart of `Calls`. Its progress is ahead of what is learned
    until `settle`."""

    def __init__(
        self,
        learner: ServedLearner,
        feed: Held | Sent,
        size: int,
        chosen: int,
        progress: Progress,
        clock: Callable[[], float],
    ) -> None:
        self._learner = learner
        self._coordinator = learner.group.coordinator
        self._feed = feed
        self._size = size
        self._call = learner.call_of(feed)
        self._progress = progress
        self._clock = clock
        self._times: list[float] = []
        self._waiting = ThreadPoolExecutor(1, thread_name_prefix="handed")
        self._out: deque[tuple[int, int, Future[None]]] = deque()
        """Step and batch before each call that is under way, and its end."""
        self._heard = clock()
        if chosen:
            progress.steps_per_call = chosen

    def begin(self, rows: Array) -> None:
        self._rows = rows

    def go(self, in_all: int) -> None:
        """Hand out one call, or wait a moment where enough are under way."""
        limit = AHEAD * self._learner.group.learners if self._progress.steps_per_call else 1
        if len(self._out) >= limit and not self._first_done(LOOK_SECONDS):
            return
        while self._out and self._out[0][2].done():
            self._first_done(0.0)
        began = self._clock()
        self._hand_out(in_all)
        if not self._progress.steps_per_call:
            self.settle()
            self._choose(self._clock() - began, in_all)

    def settle(self, stop: StopSignal | None = None) -> None:
        """Until everything that was handed out is learned; a stop waits for a moment only, and puts the progress back.

        Raises:
            GroupLostError: no worker finishes anything.
        """
        since = None
        while self._out:
            self._first_done(LOOK_SECONDS)
            since = self._clock() if since is None and stop is not None and stop.asked else since
            if self._out and since is not None and self._clock() - since > STOP_SECONDS:
                self._progress.step, self._progress.batch, _ = self._out[0]
                self._out.clear()

    def _hand_out(self, in_all: int) -> None:
        progress = self._progress
        count = min(progress.steps_per_call or 1, in_all - progress.batch)
        rows = self._rows[progress.batch * self._size : (progress.batch + count) * self._size]
        step = self._learner.tf.constant(progress.step + 1, self._learner.tf.int64)
        if not self._out:
            self._heard = self._clock()
        value = self._coordinator.schedule(self._call, args=(step, *self._feed.arguments(rows)))
        self._out.append((progress.step, progress.batch, self._waiting.submit(value.fetch)))
        progress.step += count
        progress.batch += count

    def _first_done(self, seconds: float) -> bool:
        """Whether the oldest call has ended within so many seconds; it is under way no longer then."""
        try:
            self._out[0][2].result(seconds)
        except NotYet:
            if self._clock() - self._heard > STALL_SECONDS:
                raise GroupLostError(f"no worker has finished a step for {STALL_SECONDS:.0f} s") from None
            return False
        except Exception:
            self._coordinator.join()  # raises what the first of all failed calls met; the others were given up for it
            raise
        self._heard = self._clock()
        self._out.popleft()
        return True

    def _choose(self, seconds: float, in_all: int) -> None:
        self._times.append(seconds)
        if len(self._times) <= TRIED:
            return
        fitting = CALL_SECONDS / max(min(self._times[1:]), 1e-6)
        shared = in_all // (2 * AHEAD * self._learner.group.learners)  # the last call of an epoch keeps others waiting
        self._progress.steps_per_call = max(1, min(MOST, int(fitting), shared))
