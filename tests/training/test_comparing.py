"""Runs beside each other: what differs, how they ended, one picture."""

from __future__ import annotations

from typing import Any

import pytest

from skylift.artifacts import runs
from skylift.artifacts.records import RunResult, now
from skylift.errors import InputError, NotFoundError
from training.loop.events import EventLog
from training.report.comparing import compare, differences, render


def ran(bench: Any, rate: float, losses: list[float], metrics: dict[str, float]) -> str:
    run: str = bench.ask("mnist", hp={"learning_rate": rate})
    events = EventLog(bench.work, run)
    for epoch, loss in enumerate(losses, 1):
        events.write("epoch", epoch=epoch, metrics={"loss": loss, "val_loss": loss + 0.1})
    events.close()
    if metrics:
        given = {"learning_rate": rate, "epochs": len(losses)}
        at = now()
        result = RunResult(id=run, state="succeeded", started=at, ended=at, metrics=metrics, hyperparameters=given)
        runs.write_result(bench.keep, result)
    return run


def test_only_what_differs_is_told_and_then_how_each_ended(bench: Any) -> None:
    first = ran(bench, 0.1, [3, 2, 1], {"accuracy": 0.9})
    second = ran(bench, 0.01, [3, 2.5], {"accuracy": 0.8, "f1": 0.75})
    rows = dict(differences(compare(bench.keep, bench.work, [first, second])))
    assert rows == {
        "learning_rate": ["0.1", "0.01"],
        "epochs": ["3", "2"],
        "state": ["succeeded", "succeeded"],
        "test accuracy": ["0.9", "0.8"],
        "test f1": ["-", "0.75"],
    }


def test_the_picture_has_a_line_of_each_run_for_each_metric(bench: Any) -> None:
    found = compare(bench.keep, bench.work, [ran(bench, rate, [3, 2, 1], {}) for rate in (0.1, 0.2, 0.3)])
    page = render(found)
    assert page.count("<polyline") == 2 * 3 and all(run.id in page for run in found)
    assert 'class="s3"' in page and "<b>val loss</b>" in page and "http" not in page.replace("http://www.w3.org", "")


def test_an_epoch_that_was_learned_again_counts_once(bench: Any) -> None:
    run = ran(bench, 0.1, [3, 2], {})
    events = EventLog(bench.work, run)
    events.write("epoch", epoch=2, metrics={"loss": 1.5, "val_loss": 1.6})
    events.close()
    other = ran(bench, 0.1, [3], {})
    assert compare(bench.keep, bench.work, [run, other])[0].curves["loss"] == [3, 1.5]


def test_one_run_seven_runs_and_no_such_run_are_refused(bench: Any) -> None:
    run = ran(bench, 0.1, [1], {})
    for given in ([run], [run] * 7):
        with pytest.raises(InputError, match="cannot be compared"):
            compare(bench.keep, bench.work, given)
    with pytest.raises(NotFoundError):
        compare(bench.keep, bench.work, [run, "20200101t000000-abcdef"])
