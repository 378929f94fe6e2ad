"""A work-conserving batcher: its one thread takes what waits, up to so many rows, and never waits for more unless it is told to.

Alone, a request is computed at once; under load batches form by themselves while the one before is computed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping

from serving.backends.base import Backend
from serving.batching.counts import Counts
from serving.batching.engine import Engine
from serving.batching.gate import Gate
from serving.batching.jobs import Done, Job, LateError, Outcome, QueueFullError, ShedError
from serving.batching.options import BatchOptions
from serving.batching.wake import Wake

__all__ = ["BatchOptions", "Batcher", "Done", "Gate", "Job", "LateError", "Outcome", "QueueFullError", "ShedError"]


class Batcher(Engine):
    """Queue and thread of one loaded model. Everything but the thread's own work is called from the event loop.

    Each model has its own, so that a slow one holds nobody else's requests. A batcher that has nothing to do costs 17 KB.

    Args:
        backend: what computes; closed by the thread after the last job.
        options: all there is to be said of batches; or the two below alone.
        max_batch_rows: computed at once.
        queue_rows: may wait; a single greater request is taken when nothing waits.
        measured: what batches took in the warm-up [s] by rows, so that sizes and waits are known from the first request on.
        gate: shared with the other models of a worker.
        counts, lanes: see Engine.
    """

    def __init__(
        self,
        backend: Backend,
        options: BatchOptions | None = None,
        *,
        loop: asyncio.AbstractEventLoop,
        max_batch_rows: int = 64,
        queue_rows: int = 4096,
        measured: Mapping[int, float] | None = None,
        gate: Gate | None = None,
        clock: Callable[[], float] = time.monotonic,
        counts: Counts | None = None,
        lanes: int = 1,
    ) -> None:
        options = options or BatchOptions(max_batch_rows=max_batch_rows, queue_rows=queue_rows)
        super().__init__(backend, options, loop, measured=measured, clock=clock, counts=counts, lanes=lanes)
        self._backend = backend
        self._gate = gate
        self._start()

    def _start(self) -> None:
        self._bell = Wake()
        self._wake = self._bell.set
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until the model is freed, after `close`."""
        self._thread.join()

    def _work(self) -> None:
        while (seconds := self.rest()) != -1.0:
            if seconds == 0:
                self._take_turn()
            else:
                self._bell.wait(seconds)
        self._backend.close()

    def _take_turn(self) -> None:
        is_inside = self._gate is not None and self._gate.enter(self.expected_seconds())
        try:
            self.turn()
        finally:
            if is_inside and self._gate is not None:
                self._gate.leave()
