"""Runs as a user asks for them, through what goes wrong with them."""

from __future__ import annotations

import json
import random
import subprocess

import psutil
import pytest

from tests.local.conftest import Place, ending, interrupt, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def trained(stack: Place) -> str:
    """A run of the user's own recipe with an environment variable and a secret, detached, then followed to its end."""
    stack.skylift("secret", "set", "PASSWORD", stdin="hunter2-and-more\n")
    begun = stack.json(
        "train", "iris.py", "--detach", "--env", "PLACE=the garden", "--secret", "PASSWORD", "--set", "pause=2"
    )
    run = begun["run"]
    followed = stack.skylift("logs", "--follow", run)
    assert f"run {run}" in followed.out
    assert "published model iris version 1" in followed.out, "it prints to the end"
    return str(run)


def test_what_was_handed_over_arrives_and_stays_secret(stack, trained):
    shown = stack.skylift("logs", trained).out
    assert "the place is the garden" in shown
    assert "the password is ***" in shown
    spec = json.loads((stack.keep / "runs" / trained / "run.json").read_text())
    assert spec["env"] == {"PLACE": "the garden"} and spec["secrets"] == ["PASSWORD"]
    for bucket in (stack.keep, stack.work):
        assert subprocess.run(["grep", "-rqa", "hunter2", str(bucket)]).returncode == 1, "the value lies in no bucket"


def test_a_run_is_found_listed_and_fetched(stack, trained, tmp_path):
    assert trained in [one["id"] for one in stack.json("runs")]
    assert stack.json("runs", trained[-6:])["state"] == "succeeded"
    fetched = stack.json("download", trained, str(tmp_path / "run"))
    assert {"report.html", "result.json", "run.json", "log.txt"} <= set(fetched["files"])
    model = stack.json("download", "iris:1", str(tmp_path / "model"))
    assert {"model.onnx", "manifest.json"} <= set(model["files"])
    (tmp_path / "model" / "model.onnx").write_bytes(b"cut short")
    stack.skylift("download", "iris:1", str(tmp_path / "model"))
    whole = next(
        one
        for one in json.loads((tmp_path / "model" / "manifest.json").read_text())["files"]
        if one["path"] == "model.onnx"
    )
    assert (tmp_path / "model" / "model.onnx").stat().st_size == whole["size"], "what is damaged is fetched again"


def test_a_recipe_that_raises_tells_where(stack):
    ended = stack.skylift("train", "iris.py", "--set", "fault=raises", code=9)
    assert "ValueError: the flowers have withered" in ended.err.splitlines()[-2]
    assert "Traceback" not in ended.err
    run = stack.runs()[-1]
    shown = stack.skylift("logs", run).out
    assert "Traceback (most recent call last)" in shown and 'iris.py", line' in shown
    assert stack.json("train", "iris.py", "--set", "fault=raises", code=9)["error"]["kind"] == "run_failed"


def test_a_killed_run_is_resumed_and_finishes(stack):
    run = stack.json("train", "mnist", "--detach", "--set", "epochs=5", "--set", "checkpoint_seconds=0.1")["run"]
    wait_for(lambda: stack.has_stepped(run), "a first step")
    seen = random.randrange(1, 3)  # more need not lie there at any moment
    wait_for(lambda: len(list((stack.work / "checkpoints" / run).glob("*"))) >= seen, f"{seen} checkpoints", 30)
    stack.kill_training(run)
    assert stack.skylift("logs", "-f", run, code=11).err.count(f"--resume {run}") == 1
    done = stack.json("train", "--resume", run)
    assert done["id"] == run and done["state"] == "succeeded"
    assert done["steps"] == 550, "5 epochs of 110 steps, none twice and none left out"
    assert done["metrics"]["accuracy"] > 0.9


def test_an_interrupt_leaves_the_run_at_work_and_cancel_stops_it(stack):
    before = set(stack.runs())
    watching = stack.begin("train", "iris.py", "--set", "epochs=100000")
    run = wait_for(lambda: next(iter(set(stack.runs()) - before), None), "a run")
    wait_for(lambda: (stack.work / "live" / run / "status.json").exists(), "a sign of life")
    wait_for(lambda: stack.has_stepped(run), "a first step")
    left = interrupt(watching)
    assert left.code == 130
    assert f"skylift logs -f {run}" in left.err and f"skylift cancel {run}" in left.err
    status = json.loads((stack.work / "live" / run / "status.json").read_text())
    assert psutil.pid_exists(status["pid"])
    assert run in stack.json("status")["runs"]

    following = stack.begin("logs", "-f", run)
    stack.skylift("cancel", run, "--yes", "--why", "seen enough")
    assert ending(following).code == 9
    assert stack.json("runs", run)["state"] == "cancelled"
    assert stack.skylift("cancel", run, "--yes", code=5).err.startswith("Error: run")


def test_two_at_once_are_two_runs(stack, trained):
    both = [stack.begin("train", "iris.py", "--json") for _ in range(2)]
    results = [ending(one).document for one in both]
    assert {one["state"] for one in results} == {"succeeded"}
    assert len({one["id"] for one in results}) == 2
    assert len({one["model"]["version"] for one in results}) == 2


def test_versions_go_live_and_back(stack, trained):
    first = stack.json("deploy", "iris:1")
    answer = stack.json("predict", "[5.1, 3.5, 1.4, 0.2]")[0]
    assert answer["version"] == 1 and answer["label"] in ("setosa", "versicolor", "virginica")
    second = stack.json("train", "iris.py", "--set", "epochs=1")["model"]["version"]
    stack.skylift("deploy", f"iris:{second}", "--why", "newer")
    assert stack.json("predict", "--sample", "1")[0]["version"] == second
    refused = stack.skylift("models", "remove", f"iris:{second}", "--yes", code=5)
    assert "deploy another version first" in refused.err
    back = stack.skylift("rollback", "--yes")
    assert "iris:1 answers" in back.out
    assert stack.json("predict", "--sample", "1")[0]["version"] == 1
    listed = stack.json("deployments")
    assert [one["model"]["version"] for one in listed["deployments"]][:3] == [1, second, 1]
    assert listed["current"] == listed["deployments"][0]["number"] > first["number"]


def test_two_deploys_at_once_end_with_one_of_them(stack, trained):
    stack.skylift("deploy", "iris:1")
    newest = stack.json("models", "show", "iris")["ref"]["version"]
    both = [stack.begin("deploy", f"iris:{version}", "--json") for version in (newest, newest - 1)]
    ended = [ending(one) for one in both]
    assert {one.code for one in ended} <= {0, 5}
    listed = stack.json("deployments")
    numbers = [one["number"] for one in listed["deployments"]]
    assert len(set(numbers)) == len(numbers), "no two records of one number"
    current = next(one for one in listed["deployments"] if one["number"] == listed["current"])
    assert current["number"] == max(numbers), "the newest counts"
    assert stack.json("predict", "--sample", "1")[0]["version"] == current["model"]["version"]


def test_a_damaged_version_is_refused_and_the_old_one_goes_on(stack, trained):
    stack.skylift("deploy", "iris:1")
    newest = stack.json("models", "show", "iris")["ref"]
    (model,) = (stack.keep / "models" / "iris" / newest["digest"]).glob("model.onnx")
    whole = model.read_bytes()
    model.write_bytes(whole[:1000])
    try:
        refused = stack.skylift("deploy", f"iris:{newest['version']}", code=10)
        assert "is refused" in refused.err and "model.onnx" in refused.err and "Traceback" not in refused.err
        assert stack.json("predict", "--sample", "1")[0]["version"] == 1
    finally:
        model.write_bytes(whole)


def test_a_users_folder_named_training_does_not_shadow_ours(stack, trained):
    for name in ("training", "serving", "infra"):
        (stack.folder / name).mkdir()
        (stack.folder / name / "__init__.py").write_text("raise RuntimeError('the user has a folder of that name')")
    assert stack.json("recipes", "iris.py")[0]["name"] == "iris"
    assert set(stack.json("up", "--yes")["changes"]) == {"same"}
    assert stack.json("train", "iris.py", "--set", "epochs=1")["state"] == "succeeded"
