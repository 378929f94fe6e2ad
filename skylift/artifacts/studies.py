"""Studies: what a search for hyperparameters asked, which runs it began, how each trial ended. All of it create-only.

studies/<id>/study.json              what is searched, and how
             begun/<trial>.<n>.json  the run of a trial's attempt; `final` for the run that publishes
             trials/<n>.json         how the trial ended; one without it is done again, or goes on, when the study is resumed
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Literal

import msgspec

from skylift.artifacts import layout, objects
from skylift.artifacts.records import Failure, Record, RunSpec
from skylift.errors import ConflictError, not_found
from skylift.store import ObjectExistsError, ObjectNotFoundError, Store

FINAL = "final"
"""The name of the attempts at the run that publishes a model, followed by `-` and the trial whose values it has."""

TrialState = Literal["complete", "pruned", "failed"]
Direction = Literal["minimize", "maximize"]


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched of one hyperparameter: a range with both ends in it, or choices. `type` is int, float, bool or str."""

    name: str
    type: str
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    choices: list[Any] = []

    def holds(self, value: Any) -> bool:
        """Whether the value may be suggested."""
        if self.choices:
            return value in self.choices
        return self.low is not None and self.high is not None and self.low <= value <= self.high

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.name}={','.join(map(str, self.choices))}"
        return f"{self.name}={self.low:g}..{self.high:g}" + (":log" if self.log else "")

    def count(self) -> float:
        """How many values it has; infinite for a range of real numbers."""
        if self.choices:
            return len(self.choices)
        if self.type != "int" or self.low is None or self.high is None:
            return math.inf
        return self.high - self.low + 1


class Study(Record, frozen=True, kw_only=True):
    """studies/<id>/study.json."""

    id: str
    created: datetime
    by: str
    recipe: str
    """As it was named: a bundled one, `path/to/file.py` or `package.module`."""
    trials: int
    parallel: int
    """How many runs at once; as last asked where it is resumed."""
    metric: str
    """On the validation split, without `val_`; the best epoch's value is what a trial is worth."""
    direction: Direction
    epochs: int
    """Of a trial, where they are not searched."""
    space: list[Parameter]
    defaults: dict[str, Any]
    """The recipe's own values of what is searched: what the first trial tries, where they lie in the space."""
    base: RunSpec
    """What every run of it is asked, but for its id and what is searched."""

    def is_better(self, one: Trial, other: Trial | None) -> bool:
        """Whether a complete trial beats another: by its value, and by its validation loss where both are worth the same."""
        if one.value is None or other is None or other.value is None:
            return one.value is not None
        if one.value == other.value:
            return (math.inf if one.loss is None else one.loss) < (math.inf if other.loss is None else other.loss)
        return one.value < other.value if self.direction == "minimize" else one.value > other.value


class Begun(Record, frozen=True, kw_only=True):
    """studies/<id>/begun/<name>.<attempt>.json."""

    name: str
    attempt: int
    run: str
    values: dict[str, Any]


class Trial(Record, frozen=True, kw_only=True):
    """studies/<id>/trials/<number>.json.

    complete: learned to its end. pruned: stopped because it lay behind the others. failed: diverged, broke, or was cancelled.
    """

    number: int
    state: TrialState
    run: str
    """The last of its runs."""
    values: dict[str, Any]
    value: float | None = None
    """The best epoch's metric; of a pruned one the best until then."""
    loss: float | None = None
    """The validation loss of that epoch."""
    history: list[tuple[int, float]] = msgspec.field(default_factory=list)
    """Epochs, from 1, in order, and the metric after each; without what is no number."""
    seconds: float = 0.0
    """From the start of its first run to its end, what lay between runs left out."""
    failure: Failure | None = None

    @property
    def epochs(self) -> int:
        return self.history[-1][0] if self.history else 0


def create(keep: Store, study: Study) -> None:
    """Write what a study asks.

    Raises:
        ConflictError: there is one of that name.
    """
    try:
        objects.create(keep, layout.study_spec(study.id), study)
    except ObjectExistsError:
        raise ConflictError(
            f"there is a study {study.id!r} already",
            hint=f"`--resume {study.id}` goes on with it, or take another --name",
        ) from None


def read(keep: Store, study_id: str) -> Study:
    """What a study asks.

    Raises:
        NotFoundError: there is none of that name.
    """
    try:
        return objects.read(keep, layout.study_spec(study_id), Study).record
    except ObjectNotFoundError:
        raise not_found(
            "study", study_id, keep.folders(layout.STUDIES), hint="`skylift tune RECIPE` makes one"
        ) from None


def exists(keep: Store, study_id: str) -> bool:
    return keep.stat(layout.study_spec(study_id)) is not None


def begin(keep: Store, study_id: str, begun: Begun) -> None:
    """Say which run does an attempt, before it starts.

    Raises:
        ConflictError: another command has begun it.
    """
    try:
        objects.create(keep, layout.study_attempt(study_id, begun.name, begun.attempt), begun)
    except ObjectExistsError:
        raise ConflictError(
            f"another command is at study {study_id!r}: it has begun trial {begun.name}",
            hint="let it end, or stop it; then resume the study",
        ) from None


def attempts(keep: Store, study_id: str) -> dict[str, list[Begun]]:
    """What was begun, by trial, attempts in order."""
    found: dict[str, list[Begun]] = {}
    keys = sorted(stat.key for stat in keep.names(layout.study_begun(study_id)))
    for each in objects.each(lambda key: objects.read(keep, key, Begun).record, keys):
        found.setdefault(each.name, []).append(each)
    return found


def end(keep: Store, study_id: str, trial: Trial) -> Trial:
    """Say how a trial ended, once and for all; what somebody else said before stands."""
    key = layout.study_trial(study_id, trial.number)
    try:
        objects.create(keep, key, trial)
    except ObjectExistsError:
        return objects.read(keep, key, Trial).record
    return trial


def trials(keep: Store, study_id: str) -> list[Trial]:
    """The trials that have ended, by number."""
    numbers = objects.numbered(keep, layout.study_trials(study_id))
    return objects.each(lambda n: objects.read(keep, layout.study_trial(study_id, n), Trial).record, numbers)


def best_of(study: Study, ended: list[Trial]) -> Trial | None:
    """The best complete trial."""
    best = None
    for trial in ended:
        if trial.state == "complete" and study.is_better(trial, best):
            best = trial
    return best
