"""One trial while it goes on: its runs, one after the other, and what their events tell of the metric by epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from skylift.artifacts import chunks, layout, records, runs
from skylift.artifacts.studies import Study, Trial, TrialState
from skylift.client import training
from skylift.client.training import Run
from skylift.launch import launcher

INTERRUPTED = "its study was interrupted"
"""Why a run is cancelled that goes on when its study does."""


class Epochs:
    """The validation metrics that a run tells of, by epoch, as they come."""

    def __init__(self, run: Run) -> None:
        self._reader = chunks.ChunkReader(run.stack.work, layout.events(run.id))
        self._partial = b""

    def read(self) -> dict[int, dict[str, float]]:
        """What is new."""
        *lines, self._partial = (self._partial + self._reader.read()).split(b"\n")
        events = (training.read_event(line) for line in lines)
        return {event.epoch: event.metrics for event in events if event is not None and event.kind == "epoch"}


@dataclass
class Running:
    """A trial that has begun. `is_decided` once its record is written and its run is only waited for."""

    study: Study
    number: int
    values: dict[str, Any]
    chain: list[Run]
    attempt: int
    history: dict[int, float] = field(default_factory=dict)
    losses: dict[int, float] = field(default_factory=dict)
    resumed: int = 0
    was_stopped: bool = False
    """Whether its run was cancelled with its study: it goes on, and has not failed."""
    is_decided: bool = False
    _epochs: Epochs | None = None

    @property
    def run(self) -> Run:
        return self.chain[-1]

    @property
    def epochs(self) -> int:
        """How many a whole trial has."""
        return int(self.values.get("epochs", self.study.epochs))

    def go_on_as(self, run: Run, attempt: int) -> None:
        """Its run has ended, and another goes on from there."""
        if run.id != self.run.id:
            self.chain.append(run)
            self._epochs = None
        self.attempt = attempt
        self.was_stopped = False

    def read(self) -> list[int]:
        """Look at the events; the epochs that are new, in order."""
        if self._epochs is None:
            self._epochs = Epochs(self.run)
        fresh = []
        for epoch, metrics in sorted(self._epochs.read().items()):
            value, loss = metrics.get(f"val_{self.study.metric}"), metrics.get("val_loss")
            if value is None or not math.isfinite(value):
                continue
            fresh += [epoch] if epoch not in self.history else []
            self.history[epoch] = value
            if loss is not None and math.isfinite(loss):
                self.losses[epoch] = loss
        return fresh

    def is_at_rest(self, view: runs.RunView) -> bool:
        """Whether a run without a result has nobody at work on it."""
        if view.state in ("preempted", "lost"):
            return True
        return view.status is not None and launcher(view.spec.target).is_dead(view.status)

    def ended(self, state: TrialState, *, until: int | None = None, failure: records.Failure | None = None) -> Trial:
        """Its record, of what it had reached after epoch `until`."""
        history = {epoch: value for epoch, value in sorted(self.history.items()) if until is None or epoch <= until}
        turn = 1 if self.study.direction == "minimize" else -1
        best = min(history, key=lambda epoch: (turn * history[epoch], self.losses.get(epoch, math.inf)), default=None)
        return Trial(
            number=self.number,
            state=state,
            run=self.run.id,
            values=self.values,
            value=history[best] if best is not None else None,
            loss=self.losses.get(best) if best is not None else None,
            history=list(history.items()),
            seconds=round(sum(_seconds(run) for run in self.chain), 1),
            failure=failure,
        )


def _seconds(run: Run) -> float:
    spec, result = runs.read_spec(run.stack.keep, run.id), run.result
    return ((result.ended if result is not None else records.now()) - spec.created).total_seconds()
