"""The loop: the same for every recipe. It goes on from a Progress, wherever that stands."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from skylift.errors import RunFailedError
from training.contract import Array, Data, Split, Task
from training.loop import batches
from training.loop.calls import Calls
from training.loop.events import EventLog
from training.loop.feed import feed_for
from training.loop.learner import Learner
from training.loop.lent import lent_feed
from training.loop.progress import Best, EpochRow, Progress, is_better, value_of
from training.loop.saving import SHARE, Saver
from training.loop.served import Handed, ServedLearner
from training.loop.settings import LoopSettings
from training.loop.stopping import Stopped, StopSignal

EVENT_SECONDS = 0.5
EVAL_ROWS = 256


class DivergedError(RunFailedError):
    """The loss became NaN or infinite."""

    kind = "diverged"


@dataclass
class Training:
    """One run's loop with all that it talks to. `tell` gets a line for people whenever the stage changes."""

    run: str
    seed: int
    learner: Learner
    task: Task
    data: Data
    settings: LoopSettings
    progress: Progress
    saver: Saver
    events: EventLog
    stop: StopSignal
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _beat: float = field(default=0.0, init=False)
    _saved: float = field(default=0.0, init=False)
    _since: float = field(default=0.0, init=False)
    _saved_step: int = field(default=-1, init=False)
    _calls: Calls | Handed = field(init=False)

    def learn(self) -> Progress:
        """Train to the last epoch, or until validation has not become better for `patience` epochs.

        Raises:
            Stopped: a stop was asked for, and the state is saved.
            DivergedError: with the step at which the loss stopped being a number.
        """
        settings, progress = self.settings, self.progress
        self._since = self._saved = self.clock()
        self._calls = self._make_calls()
        if progress.batch and progress.batch_size != settings.batch_size:
            progress.batch = 0  # other batches than those it was saved between: the epoch begins anew
            self.learner.sums.reset()
        progress.batch_size = settings.batch_size
        with self.stop.deferred():
            while progress.epoch < settings.epochs and not progress.stopped_early:
                self._epoch()
                if self._agreed(self.stop.asked):
                    self._save()
                    self.saver.wait()
                    raise Stopped
            if self._saved_step != progress.step:
                self._save()
            self.saver.wait()
        return progress

    def _make_calls(self) -> Calls | Handed:
        learner, settings = self.learner, self.settings
        group, size = learner.group, settings.batch_size
        if isinstance(learner, ServedLearner):
            lent = lent_feed(learner.tf, self.data.train, self.task, size, group)
            return Handed(learner, lent, size, settings.steps_per_call, self.progress, self.clock)
        feed = feed_for(learner.tf, self.data.train, self.task, size, group)
        return Calls(learner, feed, settings.steps_per_call, self.progress, self.clock)

    def _epoch(self) -> None:
        progress, settings, train = self.progress, self.settings, self.data.train
        in_all = batches.count(train.rows, settings.batch_size)
        self.tell(f"epoch {progress.epoch + 1} of {settings.epochs}")
        began = self.clock()
        self._calls.begin(batches.order(self.seed, progress.epoch, train.rows))
        while progress.batch < in_all:
            self._calls.go(in_all)
            if progress.batch >= in_all:
                self._calls.settle(self.stop)
            if progress.batch < in_all:
                self._between_calls()
        self._refuse_bad_loss()
        self._close(self.clock() - began)

    def _between_calls(self) -> None:
        now = self.clock()
        if now - self._beat >= EVENT_SECONDS:
            self._beat = now
            self._refuse_bad_loss()
            self.saver.raise_failed()
            self._event("step", self.learner.sums.means())
        is_due = now - self._saved >= self.settings.checkpoint_seconds and not self.saver.is_busy
        stops = self._agreed(self.stop.asked)
        if stops or is_due:
            self._refuse_bad_loss()
            self._save()
        if stops:
            self.saver.wait()
            raise Stopped

    def _close(self, seconds: float) -> None:
        """End an epoch: validate, remember, judge, report, save."""
        progress, settings = self.progress, self.settings
        group = self.learner.group
        metrics = self.learner.sums.means(group)
        self.learner.sums.reset()
        group.level(self.learner.model.variables)
        validated = evaluate(self.learner.judge(), self.data.validation, self.task)
        told = group.from_chief(list(validated.values()))
        metrics |= {f"val_{name}": value for name, value in zip(validated, told, strict=True)}
        progress.epoch += 1
        progress.batch = 0
        row = EpochRow(epoch=progress.epoch, step=progress.step, seconds=round(seconds, 3), metrics=metrics)
        progress.history = [*progress.history, row]
        self._judge(row)
        self._event("epoch", metrics)
        print(_line(row, settings.epochs, progress.best), flush=True)
        if metrics["val_loss"] != metrics["val_loss"]:
            raise DivergedError(
                f"the validation loss is NaN after epoch {progress.epoch} (step {progress.step})",
                hint="lower learning_rate, and look for missing values in the validation split",
            )
        now = self.clock()
        if not self.saver.is_busy and now - self._saved >= min(settings.checkpoint_seconds, self.saver.cost / SHARE):
            self._save()

    def _judge(self, row: EpochRow) -> None:
        progress, patience = self.progress, self.settings.patience
        if is_better(self.task, row, progress.best):
            progress.best = Best(
                run=self.run,
                step=row.step,
                epoch=row.epoch,
                value=value_of(self.task, row),
                loss=row.metrics["val_loss"],
            )
            self.saver.remember_best()
        elif patience and progress.best and row.epoch - progress.best.epoch >= patience:
            progress.stopped_early = True
            text = f"stopped early: no better validation in {patience} epochs"
            self.events.write("note", step=row.step, epoch=row.epoch, text=text)
            print(text, flush=True)

    def _agreed(self, asked: bool) -> bool:
        """Whether any member of the group was asked to stop."""
        return self.learner.group.sum([float(asked)])[0] > 0

    def _save(self) -> None:
        self._calls.settle(self.stop)
        now = self.clock()
        self.progress.seconds += now - self._since
        self._since = self._saved = now
        self._saved_step = self.progress.step
        self.saver.save(self.progress)

    def _refuse_bad_loss(self) -> None:
        bad = self.learner.bad_step
        if bad is None:
            return
        raise DivergedError(
            f"the loss became NaN or infinite at step {bad}, in epoch {self.progress.epoch + 1}",
            hint="lower learning_rate, and look for missing or huge values in the inputs and for log(0) or 0/0 in the model",
            details={"step": bad},
        )

    def _event(self, kind: str, metrics: dict[str, float]) -> None:
        self.events.write(
            "epoch" if kind == "epoch" else "step",
            step=self.progress.step,
            epoch=self.progress.epoch + (kind == "step"),
            metrics={name: round(value, 6) for name, value in metrics.items()},
        )


def evaluate(learner: Learner, split: Split, task: Task) -> dict[str, float]:
    """Loss and metrics over a whole split."""
    learner.evaluated.reset()
    for x, y in batches.in_order(split, task, EVAL_ROWS):
        learner.eval_step(x, y)
    return learner.evaluated.means()


def evaluate_rows(learner: Learner, split: Split, task: Task) -> tuple[dict[str, float], Array]:
    """Loss and metrics, and the outputs of every row, `[rows, …] float32`."""
    learner.evaluated.reset()
    outputs = [learner.eval_step(x, y).numpy() for x, y in batches.in_order(split, task, EVAL_ROWS)]
    return learner.evaluated.means(), np.concatenate(outputs)


def _line(row: EpochRow, epochs: int, best: Best | None) -> str:
    numbers = "  ".join(f"{name} {value:.4f}" for name, value in row.metrics.items())
    star = "  best so far" if best and best.epoch == row.epoch else ""
    return f"epoch {row.epoch} of {epochs}  step {row.step}  {numbers}  {row.seconds:.1f} s{star}"
