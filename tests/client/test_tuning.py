"""Studies with real buckets and real Optuna; runs are played: their events and ends follow from the values that they are asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from skylift.artifacts import chunks, layout, runs, studies
from skylift.artifacts.records import Event, Failure, RunResult, RunSpec, RunStatus, now
from skylift.artifacts.studies import Trial
from skylift.client import studying, training
from skylift.client.studying import Search
from skylift.client.training import Request
from skylift.client.tuning import Tuning
from skylift.errors import ConflictError, InputError, NotFoundError, RunFailedError
from skylift.launch.local import LocalLauncher
from skylift.stack.project import Project
from tests.client.conftest import StackBench

HILL = '''"""A hill to be found."""
from dataclasses import dataclass
from training.contract import Input, Task


@dataclass(frozen=True)
class Hyperparameters:
    epochs: int = 8
    depth: int = 30
    kind: str = "round"


def task(hp):
    return Task("classification", "sparse_categorical_crossentropy", (Input((4,), "float32", "x"),), ("a", "b"))


def load(hp, source):
    raise NotImplementedError


def build(hp, data):
    raise NotImplementedError
'''


@dataclass
class Player:
    """In the launcher's place: plays a run by its script, up to the epoch that `stays` names, and then to whoever cancels it."""

    bench: StackBench
    worth: Callable[[Mapping[str, Any]], float] = lambda values: 1 - abs(int(values["depth"]) - 40) / 100
    stays: Callable[[RunSpec], int | None] = lambda spec: None
    fails: Callable[[RunSpec], Failure | None] = lambda spec: None
    specs: list[RunSpec] = field(default_factory=list)
    at_work: list[str] = field(default_factory=list)
    most_at_once: int = 0

    def start(self, project: Project, spec: RunSpec, secrets: Mapping[str, str]) -> None:
        self.specs.append(spec)
        failure, until = self.fails(spec), self.stays(spec)
        begun = self._epochs_of(spec.resumed_from or spec.id)
        last = 0 if failure is not None else 8 if until is None else until
        writer = chunks.ChunkWriter(self.bench.work, layout.events(spec.id), ".jsonl")
        for epoch in range(begun + 1, last + 1):
            value = self.worth(spec.hyperparameters) * (1 - 0.5**epoch)
            metrics = {"val_accuracy": value, "val_loss": 1 - value, "accuracy": 0.99}
            writer.write(msgspec.json.encode(Event(at=now(), kind="epoch", epoch=epoch, metrics=metrics)) + b"\n")
        writer.close()
        runs.write_status(
            self.bench.work, RunStatus(id=spec.id, state="running", beat=now(), host="elsewhere", pid=os.getpid())
        )
        if failure is not None:
            self._end(spec.id, "failed", failure=failure)
        elif until is None:
            self._end(spec.id, "succeeded")
        else:
            self.at_work.append(spec.id)

    def _epochs_of(self, run: str) -> int:
        return chunks.ChunkReader(self.bench.work, layout.events(run)).read().count(b"\n")

    def _end(self, run: str, state: Any, **facts: Any) -> None:
        runs.write_result(self.bench.keep, RunResult(id=run, state=state, started=now(), ended=now(), **facts))

    def obey(self) -> None:
        """End what was cancelled."""
        self.most_at_once = max(self.most_at_once, len(self.at_work))
        for run in [each for each in self.at_work if runs.read_cancel(self.bench.work, each)]:
            self.at_work.remove(run)
            self._end(run, "cancelled")


@pytest.fixture
def player(bench: StackBench, here: Path, monkeypatch: pytest.MonkeyPatch) -> Player:
    (here / "hill.py").write_text(HILL)
    made = Player(bench)
    monkeypatch.setattr(LocalLauncher, "start", lambda self, *told: made.start(*told))
    monkeypatch.setattr(training, "POLL", 0.01)
    return made


def search(**changes: Any) -> Search:
    usual: dict[str, Any] = {"space": ("depth=1..100",), "trials": 8, "parallel": 1, "name": "hill"}
    return Search(Request("hill.py", seed=changes.pop("seed", 4)), **{**usual, **changes})


def do(player: Player, asked: Search, until: Callable[[], Any] = lambda: False) -> list[Trial]:
    """Search to the end, or stop as by Ctrl-C."""
    with Tuning(player.bench.stack, studying.plan(player.bench.stack, asked)) as tuning:
        tuning.open()
        for _ in tuning.go():
            player.obey()
            if until():
                tuning.stop()
                break
        player.obey()
        return tuning.ended


def tried(ended: list[Trial]) -> list[Any]:
    return [(trial.number, trial.values, trial.state, trial.value) for trial in ended]


def test_one_at_a_time_the_seed_decides_what_is_tried_and_the_recipe_comes_first(player: Player) -> None:
    first = do(player, search())
    assert first[0].values == {"depth": 30} and len({trial.values["depth"] for trial in first}) == 8
    assert tried(first) == tried(do(player, search(name="again")))
    assert tried(first) != tried(do(player, search(name="other", seed=2)))
    for spec in player.specs:
        assert not spec.publishes and list(spec.hyperparameters) == ["depth"]
    assert [spec.trial for spec in player.specs] == list(range(8)) * 3


def test_a_study_that_was_interrupted_goes_on_with_its_runs_and_ends_as_if_it_never_was(player: Player) -> None:
    whole = do(player, search())
    number = next(trial.number for trial in reversed(whole) if trial.state == "complete")
    assert number > 3, "some are behind it, or the test would show little"
    player.stays = lambda spec: 1 if spec.trial == number and spec.resumed_from is None else None
    begun = do(player, search(name="cut"), until=lambda: player.at_work)
    assert [trial.number for trial in begun] == list(range(number))
    (cancelled,) = [spec for spec in player.specs if spec.study == "cut" and spec.trial == number]
    wish = runs.read_cancel(player.bench.work, cancelled.id)
    assert wish is not None and "interrupted" in wish.why
    player.specs.clear()
    resumed = do(player, search(name="cut"))
    assert tried(resumed) == tried(whole)
    assert player.specs[0].resumed_from == cancelled.id, "it goes on from its checkpoint"
    assert [spec.trial for spec in player.specs] == list(range(number, 8)), "what had ended is not done again"
    assert [epoch for epoch, _ in resumed[number].history] == list(range(1, 9)), "what both runs told counts"


def test_what_lies_behind_is_cancelled_and_counts_as_pruned(player: Player) -> None:
    player.worth = lambda values: 0.2 if values["kind"] == "flat" else 0.9
    player.stays = lambda spec: 5 if spec.hyperparameters["kind"] == "flat" and (spec.trial or 0) > 2 else None
    ended = do(player, search(space=("kind=round,flat", "depth=1..9"), trials=12, parallel=2))
    pruned = [trial for trial in ended if trial.state == "pruned"]
    assert pruned and all(trial.values["kind"] == "flat" and trial.epochs < 5 for trial in pruned)
    for trial in pruned:
        wish = runs.read_cancel(player.bench.work, trial.run)
        assert wish is None or "lies behind" in wish.why
    assert any(runs.read_cancel(player.bench.work, trial.run) for trial in pruned)
    assert player.most_at_once <= 2 and not player.at_work
    best = studies.best_of(studies.read(player.bench.keep, "hill"), ended)
    assert best is not None and best.values["kind"] == "round"


def test_a_trial_that_diverges_fails_alone(player: Player) -> None:
    diverged = Failure(kind="diverged", message="the loss became NaN at step 3", hint="lower learning_rate")
    player.fails = lambda spec: diverged if spec.hyperparameters["depth"] > 50 else None
    ended = do(player, search())
    failed = [trial for trial in ended if trial.state == "failed"]
    assert failed and all(trial.failure == diverged and trial.value is None for trial in failed)
    assert len(ended) == 8 and sum(trial.state == "complete" for trial in ended) == 8 - len(failed)


def test_where_all_diverge_the_study_fails_and_says_so(player: Player) -> None:
    player.fails = lambda spec: Failure(kind="diverged", message=f"NaN at step {spec.trial}", hint="lower it")
    with pytest.raises(
        RunFailedError, match="none of the 4 trials of study hill came to an end: NaN at step 3"
    ) as told:
        do(player, search(trials=4))
    assert "lower it" in told.value.hint and "skylift logs" in told.value.hint


def test_a_recipe_that_is_broken_is_not_tried_twenty_times(player: Player) -> None:
    player.fails = lambda spec: Failure(kind="error", message="ValueError: no such column")
    with pytest.raises(
        RunFailedError, match="the first 3 trials of study hill failed alike: ValueError: no such column"
    ):
        do(player, search(trials=20))
    assert len(player.specs) == 3


def test_a_run_that_somebody_cancels_is_a_failed_trial(player: Player) -> None:
    player.stays = lambda spec: 1 if spec.trial == 1 else None
    with Tuning(player.bench.stack, studying.plan(player.bench.stack, search(trials=3))) as tuning:
        tuning.open()
        for _ in tuning.go():
            if player.at_work:
                runs.request_cancel(player.bench.work, player.at_work[0], "ada", "too dear")
            player.obey()
        assert [trial.state for trial in tuning.ended] == ["complete", "failed", "complete"]


def test_trials_of_which_only_this_many_settings_exist_end_early(player: Player) -> None:
    player.worth = lambda values: 0.2 if values["kind"] == "flat" else 0.9
    ended = do(player, search(space=("kind=round,flat",), trials=9))
    assert sorted(trial.values["kind"] for trial in ended) == ["flat", "round"]


def test_the_best_is_trained_once_more_to_publish_and_only_once(player: Player) -> None:
    ended = do(player, search(trials=4))
    best = max(ended, key=lambda trial: trial.value or 0)
    found = []
    for _ in range(2):
        with Tuning(player.bench.stack, studying.reopen(player.bench.stack, "hill")) as tuning:
            tuning.open()
            found.append(tuning.train_best().id)
    assert found[0] == found[1]
    spec = runs.read_spec(player.bench.keep, found[0])
    assert (spec.publishes, spec.trial, spec.study, spec.hyperparameters) == (True, None, "hill", best.values)
    told = studying.command_for(tuning.study, best)
    assert told == f"skylift train hill.py --set depth={best.values['depth']} --seed 4"


def test_from_python_the_whole_search_is_one_call(player: Player) -> None:
    tuned = player.bench.stack.tune("hill.py", search=["depth=1..100"], trials=3, parallel=1, name="one")
    assert [trial.number for trial in tuned.trials] == [0, 1, 2] and tuned.study.id == "one"
    assert tuned.run is not None
    assert runs.read_spec(player.bench.keep, tuned.run.id).hyperparameters == tuned.best.values


def test_a_longer_study_keeps_what_it_has(player: Player) -> None:
    short = do(player, search(trials=3))
    longer = do(player, search(trials=5))
    assert tried(longer[:3]) == tried(short) and len(longer) == 5
    assert len(player.specs) == 5


def test_a_name_that_asks_for_something_else_is_refused(player: Player) -> None:
    do(player, search(trials=2))
    with pytest.raises(ConflictError, match=r"it asks for another space, seed") as told:
        studying.plan(player.bench.stack, search(space=("depth=1..50",), seed=5))
    assert "--resume hill" in told.value.hint


def test_two_commands_at_one_study_do_not_begin_the_same_trial(player: Player) -> None:
    player.stays = lambda spec: 1
    plan = studying.plan(player.bench.stack, search())
    with Tuning(player.bench.stack, plan) as one, Tuning(player.bench.stack, plan) as other:
        one.open()
        other.open()
        next(one.go())
        with pytest.raises(ConflictError, match="another command is at study 'hill'"):
            next(other.go())
    assert len(player.specs) == 1


def test_mistakes_are_told_before_anything_is_recorded(player: Player) -> None:
    stack = player.bench.stack
    with pytest.raises(InputError, match="did you mean 'depth'"):
        studying.plan(stack, search(space=("deptj=1..3",)))
    with pytest.raises(InputError, match="not measured by 'acuracy'; did you mean 'accuracy'") as told:
        studying.plan(stack, search(metric="acuracy"))
    assert "accuracy, loss" in told.value.hint
    with pytest.raises(InputError, match="study name 'My Study'"):
        studying.plan(stack, search(name="My Study"))
    with pytest.raises(NotFoundError, match="no study 'hills'"):
        studying.reopen(stack, "hills")
    assert not player.specs and list(player.bench.keep.folders(layout.STUDIES)) == []


def test_trials_are_left_out_of_listings_and_of_what_has_changed(player: Player) -> None:
    from skylift.client import unchanged

    do(player, search(trials=3))
    stack = player.bench.stack
    assert {one.trial for one in stack.runs(where=lambda one: one.study == "hill")} == {0, 1, 2}
    assert stack.runs(2, where=lambda one: one.trial is None) == []
    assert unchanged.compare(stack, Request("hill.py")).run is None, "a trial has given no model"
