"""Commands that need no engine."""

from __future__ import annotations

import pytest

from tests.store.disks import make_read_only, small_disk


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["up", "--yes"],
        ["runs"],
        ["models"],
        ["train", "mnist"],
        ["predict", "--sample", "1"],
        ["gc"],
        ["env"],
    ],
)
def test_outside_a_project_every_command_says_how_to_begin(skylift, empty, arguments):
    ended = skylift(*arguments)
    assert ended.code == 4
    assert "skylift init" in ended.err
    assert list(empty.iterdir()) == []


def test_init_writes_a_project_once(skylift, empty):
    first = skylift("init", "lab", "--port", "0", "--owner", "ada", "--json")
    assert first.code == 0
    assert first.document["stack"] == "lab"
    assert (empty / "stacks" / "Pulumi.lab.yaml").exists() and (empty / "__main__.py").exists()
    again = skylift("init", "lab")
    assert again.code == 5
    assert "exists already" in again.err
    assert skylift("init", "two words").code == 3


def test_a_stack_is_found_by_name_near_miss_and_environment(skylift, empty, monkeypatch):
    skylift("init", "lab", "--port", "0")
    missed = skylift("runs", "--stack", "lap")
    assert missed.code == 4
    assert "did you mean 'lab'" in missed.err
    skylift("init", "home", "--port", "0")
    several = skylift("runs")
    assert several.code == 3
    assert "home, lab" in several.err
    monkeypatch.setenv("SKYLIFT_STACK", "hom")
    assert "did you mean 'home'" in skylift("runs").err
    assert skylift("status", "lab", "--stack", "home").code == 2


def test_another_folder_is_named_before_the_command(skylift, empty):
    there = empty / "there"
    there.mkdir()
    assert skylift("-C", str(there), "init", "lab").code == 0
    assert (there / "stacks" / "Pulumi.lab.yaml").exists()
    assert skylift("-C", str(empty / "nowhere"), "status").code == 2


def test_a_folder_that_cannot_be_written_is_named(skylift, tmp_path, monkeypatch):
    with small_disk(tmp_path / "disk", "1m") as disk:
        make_read_only(disk)
        monkeypatch.chdir(disk)
        ended = skylift("init")
        monkeypatch.chdir(tmp_path)
    assert ended.code == 6
    assert str(disk) in ended.err and "Read-only" in ended.err


def test_doctor_tells_machines_too(skylift, empty):
    ended = skylift("doctor", "--json")
    assert ended.code in (0, 6)
    checks = ended.document["checks"]
    assert {"Python", "Pulumi", "TensorFlow", "Disk"} <= {one["name"] for one in checks}
    assert all(one["fix"] for one in checks if one["level"] != "ok")
    assert (ended.code == 6) == any(one["level"] == "missing" for one in checks)


def test_train_refuses_what_cannot_be_meant(skylift, empty):
    skylift("init")
    assert "name a recipe" in skylift("train").err
    assert "has its recipe already" in skylift("train", "mnist", "--resume", "last").err
    assert "two recipes" in skylift("train", "mnist", "--recipe", "other").err
    assert "cannot change it" in skylift("train", "--resume", "last", "--set", "epochs=2").err
    assert "not NAME=VALUE" in skylift("train", "mnist", "--set", "epochs").err


def test_recipes_are_listed_with_near_misses(skylift, empty):
    listed = skylift("recipes", "--json").document
    assert "mnist" in [one["name"] for one in listed]
    missed = skylift("recipes", "mnits")
    assert missed.code == 4
    assert "did you mean 'mnist'" in missed.err


def test_predict_wants_one_input(skylift, empty):
    assert skylift("predict").code == 2
    assert skylift("predict", "x.png", "--sample", "1").code == 2


def test_a_stack_option_before_a_command_of_models_is_not_lost(skylift, empty):
    ended = skylift("models", "--stack", "lab", "show", "m")
    assert ended.code == 2
    assert "skylift models show --stack lab" in ended.err
