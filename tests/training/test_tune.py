"""What Optuna suggests and prunes, in the words that skylift and the training program exchange."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from skylift.artifacts import studies
from skylift.artifacts.records import Failure, RunSpec
from skylift.artifacts.studies import Parameter, Study, Trial
from skylift.client.search_space import OF_THE_LOOP
from training.loop.settings import LoopSettings
from training.recipes.hyperparameters import fields_of
from training.tune.optuna_study import OptunaStudy
from training.tune.page import render
from training.tune.talking import answers

RATE = Parameter(name="rate", type="float", low=1e-4, high=1e-1, log=True)
UNITS = Parameter(name="units", type="int", low=4, high=64)
CELL = Parameter(name="cell", type="str", choices=["lstm", "gru"])
SPACE = [RATE, UNITS, CELL]


def opening(**changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"metric": "accuracy", "seed": 3, "trials": 20, "parallel": 1, "epochs": 8, "space": SPACE}
    return {"do": "open", **usual, **changes}


def talk(*said: dict[str, Any]) -> list[dict[str, Any]]:
    return list(answers(msgspec.json.encode(each) for each in said))


def worth(values: dict[str, Any]) -> float:
    return float(1 - abs(values["units"] - 40) / 64 - (values["cell"] == "gru") / 10)


def searched(study: OptunaStudy, numbers: range, *, keep: list[Trial] | None = None) -> list[dict[str, Any]]:
    """Trials one after the other, of two epochs each."""
    tried = []
    for number in numbers:
        values = study.ask(number)
        assert values is not None
        tried.append(values)
        trial = Trial(number=number, state="complete", run="r", values=values, value=worth(values), history=[(1, 0.1)])
        study.report(number, 1, 0.1)
        study.tell(number, trial.state, trial.value)
        if keep is not None:
            keep.append(trial)
    return tried


def study_of(**changes: Any) -> OptunaStudy:
    usual: dict[str, Any] = {"seed": 3, "trials": 20, "parallel": 1, "epochs": 8}
    return OptunaStudy("accuracy", SPACE, **(usual | changes))


def test_the_same_seed_suggests_the_same_and_within_the_space() -> None:
    first, second, other = (searched(study_of(seed=seed), range(14)) for seed in (3, 3, 4))
    assert first == second != other
    for values in first:
        assert list(values) == ["rate", "units", "cell"]
        assert 1e-4 <= values["rate"] <= 1e-1 and type(values["units"]) is int and values["cell"] in CELL.choices
    assert max(map(worth, first[7:])) > 0.9, "it learns from what it was told"


def test_a_study_that_is_told_its_records_goes_on_as_if_it_had_never_stopped() -> None:
    whole = searched(study_of(), range(14))
    kept: list[Trial] = []
    searched(study_of(), range(9), keep=kept)
    again = study_of()
    for trial in kept:
        again.add(trial)
    assert searched(again, range(9, 14)) == whole[9:]


def test_trials_behind_are_pruned_after_a_while_and_never_at_first() -> None:
    said = [opening()]
    for number, value in enumerate([0.9, 0.8, 0.85, 0.95, 0.9]):
        said += [{"do": "ask", "number": number}]
        said += [{"do": "report", "number": number, "epoch": epoch, "value": value} for epoch in range(1, 9)]
        said += [{"do": "tell", "number": number, "state": "complete", "value": value}]
    assert not any(answer.get("prune") for answer in talk(*said))
    behind = [{"do": "report", "number": 5, "epoch": epoch, "value": 0.3} for epoch in range(1, 4)]
    ahead = [{"do": "report", "number": 6, "epoch": epoch, "value": 0.97} for epoch in range(1, 4)]
    told = talk(*said, {"do": "ask", "number": 5}, {"do": "ask", "number": 6}, *behind, *ahead)[-6:]
    assert [answer["prune"] for answer in told] == [False, True, True, False, False, False]


def test_less_is_better_of_a_loss() -> None:
    assert talk(opening())[0] == {"direction": "maximize"}
    assert (
        talk(opening(metric="loss"))[0] == talk(opening(metric="mean_absolute_error"))[0] == {"direction": "minimize"}
    )


def test_every_setting_is_tried_once_and_then_there_is_none_left() -> None:
    space = [CELL, Parameter(name="deep", type="bool", choices=[False, True])]
    said = [opening(space=space)]
    for number in range(5):
        said += [{"do": "ask", "number": number}, {"do": "tell", "number": number, "state": "failed"}]
    values = [answer["values"] for answer in talk(*said[:-1])[1::2]]
    assert {(each["cell"], each["deep"]) for each in values[:4]} == {
        (cell, deep) for cell in ("lstm", "gru") for deep in (False, True)
    }
    assert values[4] is None


def test_values_of_a_trial_that_was_begun_before_are_taken_as_they_were() -> None:
    begun = {"rate": 0.012345, "units": 33, "cell": "gru"}
    answer = talk(opening(), {"do": "take", "number": 4, "values": begun}, {"do": "ask", "number": 5})
    assert answer[1] == {"values": begun} and answer[2]["values"] != begun


def test_the_program_answers_line_by_line_and_ends_with_its_input() -> None:
    said = b"".join(msgspec.json.encode(each) + b"\n" for each in (opening(), {"do": "ask", "number": 0}))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "training", "tune", "suggest"], input=said, capture_output=True, timeout=60
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, lines[:2]) == (0, talk(opening(), {"do": "ask", "number": 0}))
    assert done.stderr == b""


def test_what_matters_is_found_and_the_page_tells_it() -> None:
    kept: list[Trial] = []
    study = study_of()
    searched(study, range(12), keep=kept)
    importance = study.importance()
    assert sum(importance.values()) == pytest.approx(1)
    assert max(importance, key=importance.__getitem__) == "units"
    kept.append(Trial(number=12, state="pruned", run="r", values=kept[0].values, value=0.05, history=[(1, 0.05)]))
    failure = Failure(kind="diverged", message="the loss became <NaN> at step 3")
    kept.append(Trial(number=13, state="failed", run="r", values=kept[1].values, failure=failure))
    page = render(recorded(), kept, importance)
    best = studies.best_of(recorded(), kept)
    assert best is not None and f"trial {best.number}</div>" in page
    assert "12 complete, 1 pruned, 1 failed" in page and "became &lt;NaN&gt; at" in page
    assert page.count("by rate") == page.count("by cell") == 2 and not re.search("nan|None|undefined", page)
    assert "<script" not in page and "src=" not in page


def test_a_page_of_a_study_without_a_single_value() -> None:
    failed = Trial(number=0, state="failed", run="r", values={"rate": 0.1, "units": 4, "cell": "gru"})
    assert "1 trials" not in render(recorded(), [failed], {}) and "best setting" not in render(recorded(), [failed], {})


def test_what_is_never_searched_by_itself_are_settings_of_the_loop() -> None:
    names = {field.name for field in fields_of(LoopSettings)}
    assert names >= OF_THE_LOOP
    assert names - OF_THE_LOOP == {"batch_size", "learning_rate"}


def recorded() -> Study:
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    common: dict[str, Any] = {"created": moment, "by": "ada"}
    base = RunSpec(
        id="x", stack="local", target="local", keep="", work="", recipe="sequence", model="sequence", **common
    )
    return Study(
        id="cells",
        recipe="sequence",
        trials=14,
        parallel=1,
        metric="accuracy",
        direction="maximize",
        epochs=8,
        space=SPACE,
        defaults={},
        base=base,
        **common,
    )
