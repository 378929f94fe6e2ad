"""What happens in a run, as JSON lines in its events folder: `skylift train` draws its progress bar from them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import msgspec

from skylift.artifacts import layout
from skylift.artifacts.chunks import ChunkWriter
from skylift.artifacts.records import Event, now
from skylift.store import Store

Kind = Literal["plan", "stage", "step", "epoch", "test", "note"]


FLUSH_SECONDS = 0.25
"""Events of quick epochs go to the bucket together."""


class EventLog:
    """Appends events; a follower sees them soon. Without a bucket (a member that is not the chief) nobody does."""

    def __init__(self, work: Store | None, run_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._chunks = ChunkWriter(work, layout.events(run_id), ".jsonl") if work else None
        self._clock = clock
        self._flushed = clock() - FLUSH_SECONDS

    def write(
        self,
        kind: Kind,
        *,
        step: int = 0,
        epoch: int = 0,
        steps: int = 0,
        epochs: int = 0,
        metrics: dict[str, float] | None = None,
        text: str = "",
    ) -> None:
        if self._chunks is None:
            return
        event = Event(
            at=now(), kind=kind, step=step, epoch=epoch, steps=steps, epochs=epochs, metrics=metrics or {}, text=text
        )
        self._chunks.write(msgspec.json.encode(event) + b"\n")
        since = self._clock()
        if kind not in ("step", "epoch") or since - self._flushed >= FLUSH_SECONDS:
            self._flushed = since
            self._chunks.flush()

    def close(self) -> None:
        if self._chunks is not None:
            self._chunks.close()
