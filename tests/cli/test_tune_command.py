"""`skylift tune` where nothing is started."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a recipe (`skylift recipes` lists them) or a study to --resume"),
        (
            ["mnist", "--resume", "s", "--set", "a=1", "--search", "b=1,2", "--seed", "3"],
            "--resume goes on with what the study asks; RECIPE, --search, --seed, --set cannot change it",
        ),
        (["mnist", "--set", "epochs"], "'epochs' is not NAME=VALUE"),
        (["mnist", "--trials", "0"], "0 is not in the range"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(skylift, empty, arguments, said):
    ended = skylift("tune", *arguments)
    assert ended.code == 2
    shown = " ".join(ended.err.split())
    assert all(part in shown for part in said.split("; ")), shown
    assert list(empty.iterdir()) == []


def test_runs_are_asked_for_by_name_or_by_study(skylift, empty):
    ended = skylift("runs", "last", "--study", "s")
    assert ended.code == 2 and "name a run or a study, not both" in ended.err


def test_outside_a_project_it_says_how_to_begin(skylift, empty):
    ended = skylift("tune", "mnist")
    assert ended.code == 4 and "skylift init" in ended.err
