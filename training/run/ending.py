"""How an attempt ended, and what is written about it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from skylift.artifacts import runs
from skylift.artifacts.records import Cancel, Failure, RunResult, RunSpec, State, now
from skylift.store import Store
from training.run import codes
from training.run.live import LiveStatus
from training.run.masking import Masker
from training.run.output import OutputPump
from training.run.wire import Failed, Hindered, Lost, Outcome, Saved, Succeeded

_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE}
"""Signals that a program brings on itself: trying again would end the same way."""


@dataclass(frozen=True)
class Ended:
    """What the supervisor saw: the last word of the training process, its exit code (negative: a signal), who asked it to stop."""

    outcome: Outcome | None
    code: int | None
    """None where the training process was never started."""
    cancel: Cancel | None
    was_asked: bool


@dataclass(frozen=True)
class Report:
    """What to write. Without a result the run goes on under its id."""

    state: State
    code: int
    message: str
    hint: str = ""
    result: RunResult | None = None


def judge(ended: Ended, spec: RunSpec, started: datetime, attempt: int, masker: Masker) -> Report:
    """Success counts even where a stop came too late; a cancelled run is cancelled unless it failed by itself first."""
    outcome = ended.outcome
    base = RunResult(id=spec.id, state="cancelled", started=started, ended=now(), attempts=attempt)
    if isinstance(outcome, Succeeded):
        return _succeeded(outcome, base)
    failed = outcome if isinstance(outcome, Failed) else unsaid_failure(ended)
    if failed is not None:
        return _failed(failed, base, masker)
    if ended.cancel is not None:
        return _cancelled(ended.cancel, outcome, base)
    if isinstance(outcome, Hindered):
        return Report("preempted", outcome.exit_code, masker.text(outcome.message), masker.text(outcome.hint))
    return Report("preempted", codes.SAVED, _why_saved(ended), "the same command goes on from the newest checkpoint")


def write(report: Report, keep: Store, status: LiveStatus, output: OutputPump) -> int:
    """Write the result, then the status; the exit code."""
    if report.result is not None:
        runs.write_result(keep, report.result)
    status.end(report.state, report.message)
    output.say(f"{report.state}: {report.message}")
    if report.hint:
        output.say(f"hint: {report.hint}")
    output.flush()
    return report.code


def _succeeded(outcome: Succeeded, base: RunResult) -> Report:
    result = replace(
        base,
        state="succeeded",
        steps=outcome.steps,
        epochs=outcome.epochs,
        metrics=outcome.metrics,
        hyperparameters=outcome.hyperparameters,
        model=outcome.model,
    )
    numbers = ", ".join(f"{name} {value:.4f}" for name, value in list(outcome.metrics.items())[:2])
    model = outcome.model
    message = f"model {model.name} version {model.version}, on the test split {numbers}" if model else numbers
    return Report("succeeded", codes.SUCCEEDED, message, result=result)


def _failed(outcome: Failed, base: RunResult, masker: Masker) -> Report:
    failure = outcome.failure
    masked = Failure(kind=failure.kind, message=masker.text(failure.message), hint=masker.text(failure.hint))
    result = replace(
        base,
        state="failed",
        steps=outcome.steps,
        epochs=outcome.epochs,
        hyperparameters=outcome.hyperparameters,
        failure=masked,
    )
    return Report("failed", codes.FAILED, masked.message, masked.hint, result)


def _cancelled(cancel: Cancel, outcome: Outcome | None, base: RunResult) -> Report:
    result = base
    if isinstance(outcome, Saved):
        steps, epochs = outcome.step, outcome.epoch
        result = replace(base, steps=steps, epochs=epochs, hyperparameters=outcome.hyperparameters)
    why = f": {cancel.why}" if cancel.why else ""
    return Report("cancelled", codes.CANCELLED, f"cancelled by {cancel.by}{why}", result=result)


def unsaid_failure(ended: Ended) -> Failed | None:
    """The training process ended without a word, and not because somebody stopped it."""
    if ended.code is None or ended.outcome is not None or ended.cancel is not None or ended.was_asked:
        return None
    if ended.code < 0 and -ended.code not in _CRASHES:
        return None
    how = f"crashed with {signal.Signals(-ended.code).name}" if ended.code < 0 else f"left with exit code {ended.code}"
    hint = "the log ends with where it was: `skylift logs RUN`"
    return Failed(failure=Failure(kind="crashed", message=f"the training process {how}", hint=hint))


def _why_saved(ended: Ended) -> str:
    if isinstance(ended.outcome, Saved):
        return f"stopped as asked after step {ended.outcome.step}; saved"
    if isinstance(ended.outcome, Lost):
        return (
            "a member of the group was asked to leave, and was gone before all had saved; earlier checkpoints are whole"
        )
    if ended.code is None:
        return "stopped as asked before it began"
    if ended.was_asked:
        return "the training process did not stop in time and was killed; earlier checkpoints are whole"
    name = signal.Signals(-ended.code).name
    return f"the training process was killed by {name}, perhaps for want of memory; earlier checkpoints are whole"
