"""Searching hyperparameters: a study of trials, each an ordinary run that ends without a model, several at once.

The training program suggests what to try and says which trials lie behind (skylift.launch.suggesting); the keep bucket remembers.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from skylift.artifacts import records, runs, studies
from skylift.artifacts.studies import Begun, Direction, Study, Trial
from skylift.client import training
from skylift.client.training import Run
from skylift.client.trials import INTERRUPTED, Running
from skylift.errors import ConflictError, NotFoundError, RunFailedError, SkyliftError
from skylift.launch import secrets as kept
from skylift.launch.suggesting import Suggester

if TYPE_CHECKING:
    from skylift.client.stack import Stack

RESUMES = 2
"""How often a trial goes on whose machine was lost."""
HOPELESS = 3
"""So many trials that fail alike, and not because they diverged, and none that did not: the others would, too."""


@dataclass(frozen=True)
class Glance:
    """How a study stands: what has ended since the last one, all that has, and the running ones with their epoch and metric."""

    fresh: list[Trial]
    ended: list[Trial]
    running: dict[int, tuple[int, float | None]]


@dataclass
class Tuning:
    """A study at work. Use it in a `with`: the program that suggests ends with it."""

    stack: Stack
    study: Study
    secrets: dict[str, str] = field(default_factory=dict)
    _ended: dict[int, Trial] = field(default_factory=dict)
    _running: dict[int, Running] = field(default_factory=dict)
    _begun: dict[str, list[Begun]] = field(default_factory=dict)
    _all_tried: bool = False
    _suggester: Suggester = field(default_factory=Suggester)

    def __enter__(self) -> Tuning:
        return self

    def __exit__(self, *error: object) -> None:
        self._suggester.close()

    def open(self) -> None:
        """Record the study, or read what is known of it.

        Raises:
            NotFoundError: no value is kept for a secret.
        """
        keep, known = self.stack.keep, studies.exists(self.stack.keep, self.study.id)
        self.secrets = kept.resolve(self.stack.project, self.study.base.secrets)
        self._ended = {trial.number: trial for trial in studies.trials(keep, self.study.id)} if known else {}
        self._begun = studies.attempts(keep, self.study.id) if known else {}
        direction: Direction = self._suggester.open(self.study, self.ended)
        if not known:
            self.study = msgspec.structs.replace(self.study, direction=direction)
            studies.create(keep, self.study)

    @property
    def ended(self) -> list[Trial]:
        return [trial for _, trial in sorted(self._ended.items())]

    @property
    def best(self) -> Trial | None:
        return studies.best_of(self.study, self.ended)

    def go(self) -> Iterator[Glance]:
        """Begin and watch trials until as many have ended as were asked for; a glance at each look.

        Raises:
            RunFailedError: all have failed.
            ConflictError: another command is at the study.
        """
        pause = training.POLL if self.stack.work.folder is not None else 2.0
        while self._begin_more() or self._running:
            before = set(self._ended)
            for trial in list(self._running.values()):
                self._look(trial)
            fresh = [trial for trial in self.ended if trial.number not in before]
            now = {one.number: _at(one) for one in self._running.values() if not one.is_decided}
            yield Glance(fresh, self.ended, now)
            self._refuse_hopeless()
            if not fresh and self._running:
                time.sleep(pause)
        if self.best is None:
            raise self._all_failed(f"none of the {len(self._ended)} trials of study {self.study.id} came to an end")

    def stop(self) -> list[str]:
        """Cancel what runs, to go on when the study is resumed; the ids of the runs."""
        stopped = []
        for trial in self._running.values():
            if not trial.is_decided:
                with contextlib.suppress(SkyliftError):
                    trial.run.cancel(INTERRUPTED)
                    stopped.append(trial.run.id)
        return stopped

    def train_best(self) -> Run:
        """An ordinary run with the best trial's values, which publishes the model; the one that did already, if any.

        Raises:
            RunFailedError: no trial came to its end.
        """
        best = self.best
        if best is None:
            raise self._all_failed("there is no best trial")
        name = f"{studies.FINAL}-{best.number}"
        known = self._begun.get(name, [])
        run = self._known_run(known)
        if run is None:
            return self._launch(name, len(known), best.values, trial=None, publishes=True)
        view = run.view()
        if view.result is not None and view.result.state == "succeeded":
            return run
        if view.result is None and not training.is_dead(view):
            return run
        return self._resume(run, name, len(known), best.values)

    # beginning

    def _begin_more(self) -> bool:
        """Begin trials where there is room; whether any did."""
        began = False
        for number in range(self.study.trials):
            if len(self._running) >= self.study.parallel or self._all_tried:
                break
            if number not in self._ended and number not in self._running:
                began |= self._begin(number)
        return began

    def _begin(self, number: int) -> bool:
        known = self._begun.get(str(number), [])
        values = self._values(number, known)
        if values is None:
            self._all_tried = True
            return False
        run = self._known_run(known)
        if run is None:
            run = self._launch(str(number), len(known), values, trial=number, publishes=False)
            self._running[number] = Running(self.study, number, values, [run], len(known))
            return True
        trial = Running(self.study, number, values, [Run(self.stack, known[0].run)], len(known) - 1)
        for each in known:  # what all of its runs told counts
            trial.go_on_as(Run(self.stack, each.run), each.attempt)
            for epoch in trial.read():
                self._suggester.report(number, epoch, trial.history[epoch])
        trial.was_stopped = runs.read_cancel(self.stack.work, run.id) is not None or _is_cancelled(run)
        self._running[number] = trial
        return True

    def _values(self, number: int, known: list[Begun]) -> dict[str, Any] | None:
        if known:
            values = known[-1].values
        elif number == 0 and all(each.holds(self.study.defaults[each.name]) for each in self.study.space):
            values = self.study.defaults
        else:
            return self._suggester.ask(number)
        self._suggester.take(number, values)
        return values

    def _known_run(self, known: list[Begun]) -> Run | None:
        """The run of the last attempt, if it was begun and recorded."""
        for each in known[-1:]:
            with contextlib.suppress(NotFoundError):
                runs.read_spec(self.stack.keep, each.run)
                return Run(self.stack, each.run)
        return None

    def _launch(self, name: str, attempt: int, values: dict[str, Any], **more: Any) -> Run:
        spec = training.renewed(self.stack, self.study.base)
        spec = msgspec.structs.replace(spec, hyperparameters=spec.hyperparameters | values, **more)
        self._note(name, attempt, spec.id, values)
        return training.launch(self.stack, spec, self.secrets)

    def _note(self, name: str, attempt: int, run: str, values: dict[str, Any]) -> None:
        begun = Begun(name=name, attempt=attempt, run=run, values=values)
        studies.begin(self.stack.keep, self.study.id, begun)
        self._begun.setdefault(name, []).append(begun)

    def _resume(self, run: Run, name: str, attempt: int, values: dict[str, Any]) -> Run:
        resumed = training.resume(self.stack, run.id)
        if resumed.id != run.id:
            try:
                self._note(name, attempt, resumed.id, values)
            except ConflictError:
                resumed.cancel("another command goes on with this trial")
                raise
        return resumed

    # watching

    def _look(self, trial: Running) -> None:
        result = trial.run.result  # before the events: of a run that has ended all of them are there
        if trial.is_decided:
            if result is not None or trial.is_at_rest(trial.run.view()):
                del self._running[trial.number]
            return
        for epoch in trial.read():
            behind = self._suggester.report(trial.number, epoch, trial.history[epoch])
            if behind and epoch < trial.epochs:
                self._prune(trial, epoch)
                return
        if result is None:
            self._look_after(trial)
        elif result.state == "succeeded":
            self._end(trial, trial.ended("complete"))
        elif result.state == "failed":
            self._end(trial, trial.ended("failed", failure=result.failure))
        elif trial.was_stopped:
            self._go_on(trial)
        else:
            failure = records.Failure(kind="cancelled", message="its run was cancelled")
            self._end(trial, trial.ended("failed", failure=failure))

    def _look_after(self, trial: Running) -> None:
        """A run without a result: one that lost its machine goes on, but not for ever."""
        view = trial.run.view()
        if view.result is not None or not trial.is_at_rest(view):
            return
        if trial.resumed < RESUMES:
            trial.resumed += 1
            self._go_on(trial)
            return
        said = view.status.message if view.status is not None else ""
        failure = records.Failure(
            kind="lost", message=f"it was lost {RESUMES + 1} times" + (f": {said}" if said else "")
        )
        self._end(trial, trial.ended("failed", failure=failure))

    def _go_on(self, trial: Running) -> None:
        resumed = self._resume(trial.run, str(trial.number), trial.attempt + 1, trial.values)
        trial.go_on_as(resumed, trial.attempt + (resumed.id != trial.run.id))

    def _prune(self, trial: Running, epoch: int) -> None:
        """It counts as stopped after that epoch, whatever its run has done since: so a study does not hang on the clock."""
        self._end(trial, trial.ended("pruned", until=epoch))
        with contextlib.suppress(ConflictError):
            trial.run.cancel(f"trial {trial.number} of study {self.study.id} lies behind the others")
            trial.is_decided = True
            self._running[trial.number] = trial

    def _end(self, trial: Running, ended: Trial) -> None:
        if ended.state == "complete" and ended.value is None:
            failure = records.Failure(kind="silent", message=f"its events tell of no {self.study.metric}")
            ended = trial.ended("failed", failure=failure)
        ended = studies.end(self.stack.keep, self.study.id, ended)
        self._suggester.tell(trial.number, ended.state, ended.value)
        self._ended[trial.number] = ended
        del self._running[trial.number]

    def _refuse_hopeless(self) -> None:
        failures = [trial.failure for trial in self.ended if trial.failure is not None]
        alike = {(failure.kind, failure.message) for failure in failures}
        if len(failures) < len(self._ended) or len(failures) < HOPELESS or len(alike) > 1:
            return
        if "diverged" not in {failure.kind for failure in failures} and len(failures) < self.study.trials:
            self.stop()
            raise self._all_failed(f"the first {len(failures)} trials of study {self.study.id} failed alike")

    def _all_failed(self, what: str) -> RunFailedError:
        last = next((trial for trial in reversed(self.ended) if trial.failure is not None), None)
        why = f": {last.failure.message}" if last is not None and last.failure is not None else ""
        hint = last.failure.hint if last is not None and last.failure is not None else ""
        where = f"`skylift logs {last.run}` shows one" if last is not None else ""
        details = {"study": self.study.id, "failed": len(self._ended)}
        return RunFailedError(what + why, hint="; ".join(filter(None, (hint, where))), details=details)


def _is_cancelled(run: Run) -> bool:
    result = run.result
    return result is not None and result.state == "cancelled"


def _at(trial: Running) -> tuple[int, float | None]:
    epoch = max(trial.history, default=0)
    return epoch, trial.history.get(epoch)


@dataclass(frozen=True)
class Tuned:
    """A study that has ended: its trials, the best of them, and the run that trained its setting to a model, where one was asked for."""

    study: Study
    trials: list[Trial]
    best: Trial
    run: Run | None


def tune(stack: Stack, study: Study, *, final: bool = True) -> Tuned:
    """Search to the end, and train the best setting unless `final` is false. Raises like Tuning.go() and Run.wait().

    An interrupt cancels what runs; the same study goes on when it is searched again.
    """
    with Tuning(stack, study) as tuning:
        tuning.open()
        try:
            for _ in tuning.go():
                pass
        except KeyboardInterrupt:
            tuning.stop()
            raise
        best = tuning.best
        assert best is not None  # go() has seen to it
        run = tuning.train_best() if final else None
    if run is not None:
        run.wait()
    return Tuned(tuning.study, tuning.ended, best, run)
