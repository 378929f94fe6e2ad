"""What happens in a run, as JSON lines in its events folder: `skylift train` draws its progress bar from them."""

from __future__ import annotations

from typing import Literal

import msgspec

from skylift.artifacts import layout
from skylift.artifacts.chunks import ChunkWriter
from skylift.artifacts.records import Event, now
from skylift.store import Store

Kind = Literal["plan", "stage", "step", "epoch", "test", "note"]


class EventLog:
    """Appends events; a follower sees them at once."""

    def __init__(self, work: Store, run_id: str) -> None:
        self._chunks = ChunkWriter(work, layout.events(run_id), ".jsonl")

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
        event = Event(
            at=now(), kind=kind, step=step, epoch=epoch, steps=steps, epochs=epochs, metrics=metrics or {}, text=text
        )
        self._chunks.write(msgspec.json.encode(event) + b"\n")
        self._chunks.flush()

    def close(self) -> None:
        self._chunks.close()
