"""How far a run is: what a checkpoint holds beside the variables."""

from __future__ import annotations

import msgspec

from skylift.artifacts.records import FileEntry, Record
from training.contract import Task

SMALLER_IS_BETTER = frozenset({"loss", "mean_squared_error", "mean_absolute_error"})


class EpochRow(msgspec.Struct, frozen=True, kw_only=True):
    """One finished epoch. `metrics` holds training means and, with `val_` before the name, those of the validation split."""

    epoch: int
    step: int
    seconds: float
    metrics: dict[str, float]


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The epoch with the best validation so far. Every later checkpoint holds its weights as `best`."""

    run: str
    step: int
    epoch: int
    value: float
    loss: float


class Progress(msgspec.Struct, kw_only=True):
    """Where the loop stands: in epoch `epoch` (from 0), before its batch `batch`, after `step` steps in all."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    batch_size: int = 0
    steps_per_call: int = 0
    """Chosen once in a run; 0: not yet."""
    history: list[EpochRow] = []
    best: Best | None = None
    stopped_early: bool = False
    seconds: float = 0.0
    """Time spent in the loop, of all attempts [s]."""


class Checkpoint(Record, frozen=True, kw_only=True):
    """checkpoints/<run>/<step>/manifest.json: written last, so what has it is whole."""

    run: str
    step: int
    progress: Progress
    files: list[FileEntry]


def is_better(task: Task, row: EpochRow, best: Best | None) -> bool:
    """Whether the epoch beats the best one by the task's first metric on the validation split; the loss breaks ties."""
    if best is None:
        return True
    value, loss = value_of(task, row), row.metrics["val_loss"]
    if value == best.value:
        return loss < best.loss
    return value < best.value if judged_by(task) in SMALLER_IS_BETTER else value > best.value


def value_of(task: Task, row: EpochRow) -> float:
    return row.metrics[f"val_{judged_by(task)}"]


def judged_by(task: Task) -> str:
    return task.metrics[0] if task.metrics else "loss"
