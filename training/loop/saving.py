"""Saves beside the loop: a step waits until the variables are copied, not until they are in the bucket."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from training.loop.learner import Learner
from training.loop.progress import Progress

SHARE = 0.02
"""Most that saves at the ends of epochs may cost, of all time."""


class Sink(Protocol):
    """Where states go. `copied` is called as soon as the snapshot is no longer read."""

    def save(self, state: Snapshot, progress: Progress, copied: Callable[[], None]) -> None: ...


class Copies:
    """Variables of the same shapes in the host's memory."""

    def __init__(self, tf: Any, like: list[Any]) -> None:
        with tf.device("/CPU:0"):
            self.variables = [tf.Variable(each, trainable=False) for each in like]

    def take(self, values: list[Any]) -> None:
        for copied, value in zip(self.variables, values, strict=True):
            copied.assign(value)

    def give(self, variables: list[Any]) -> None:
        for variable, copied in zip(variables, self.variables, strict=True):
            variable.assign(copied)


class Snapshot:
    """The state of one step, and the weights of the best epoch before it."""

    def __init__(self, tf: Any, learner: Learner) -> None:
        self.weights = Copies(tf, learner.weights)
        self.state = Copies(tf, learner.state)
        self.best = Copies(tf, learner.weights)

    def parts(self, progress: Progress) -> dict[str, list[Any]]:
        """Variables by file: `best` where the best weights are not those of this step."""
        found = {"weights": self.weights.variables, "state": self.state.variables}
        if progress.best is not None and progress.best.step != progress.step:
            found["best"] = self.best.variables
        return found


class Saver:
    """Hands snapshots to a sink, one at a time, on a thread of its own; without a sink (a member that is not the chief) to nobody.

    Errors of the sink are raised by the next call of `raise_failed`, `save` or `wait`.
    """

    def __init__(self, tf: Any, learner: Learner, sink: Sink | None) -> None:
        self.snapshot = Snapshot(tf, learner)
        self.cost = 0.0
        """How long the last save took, of which the loop waited for a part only [s]."""
        self._learner = learner
        self._sink = sink
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._going: Future[None] | None = None
        self._copied = threading.Event()
        self._copied.set()

    @property
    def is_busy(self) -> bool:
        return self._going is not None and not self._going.done()

    def remember_best(self) -> None:
        """The weights as they are now are the best so far."""
        self._copied.wait()
        self.snapshot.best.take(self._learner.weights)

    def take_best(self) -> None:
        """Set the weights to the best ones."""
        self.snapshot.best.give(self._learner.weights)

    def save(self, progress: Progress) -> None:
        """Copy the state now and store it while the loop goes on; waits for a save that is still going."""
        if self._sink is None:
            return
        self.wait()
        self.snapshot.weights.take(self._learner.weights)
        self.snapshot.state.take(self._learner.state)
        self._copied.clear()
        self._going = self._thread.submit(self._store, self._sink, copy.deepcopy(progress))

    def raise_failed(self) -> None:
        """Raise what went wrong in a save that has ended."""
        if self._going is not None and self._going.done():
            self._going.result()

    def wait(self) -> None:
        """Until nothing is being stored."""
        if self._going is not None:
            going, self._going = self._going, None
            going.result()

    def _store(self, sink: Sink, progress: Progress) -> None:
        began = time.monotonic()
        try:
            sink.save(self.snapshot, progress, self._copied.set)
        finally:
            self._copied.set()
            self.cost = time.monotonic() - began
