"""The first journey on the real engine: from nothing to a prediction, through interrupts and kills."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.local.conftest import ROOT, ending, interrupt, make_place, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_from_an_empty_folder_to_a_prediction_and_again(empty):
    first = empty.skylift("quickstart")
    assert "predicted " in first.out and "probability" in first.out and "in truth" in first.out
    assert "skylift down local" in first.out
    assert "epoch 1/" in first.err and "accuracy" in first.err
    runs = empty.runs()
    assert len(runs) == 1

    again = empty.json("quickstart")
    assert again["run"] == runs[0] and empty.runs() == runs, "what is trained is not trained again"
    assert again["seconds"] <= 30
    assert again["prediction"]["model"] == "mnist" and again["prediction"]["version"] == 1
    assert again["prediction"]["label"] == str(again["truth"])
    assert (empty.keep / "runs" / runs[0] / "report.html").stat().st_size > 10_000
    result = json.loads((empty.keep / "runs" / runs[0] / "result.json").read_text())
    assert result["metrics"]["accuracy"] >= 0.95


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="needs a checkout and git")
def test_in_a_clone_interrupted_and_killed_it_goes_on_and_leaves_git_clean(tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    place = make_place(clone, tmp_path / "home")
    # The environment's editable installation names another folder; PYTHONPATH comes first, so that the clone's own code runs.
    place.surroundings["PYTHONPATH"] = str(clone)
    assert _home(place.surroundings).startswith(str(clone))
    try:
        begun = place.begin("quickstart")
        run = wait_for(lambda: next(iter(place.runs()), None), "a run", 60)
        wait_for(lambda: place.has_stepped(run), "a first step", 60)
        left = interrupt(begun)
        assert left.code == 130
        assert f"run {run} goes on" in left.err
        assert "Traceback" not in left.err

        place.kill_training(run)
        again = ending(place.begin("quickstart", "--json"))
        assert again.code == 0, again.err
        assert again.document["run"] == run and place.runs() == [run]
        assert again.document["prediction"]["label"] == str(again.document["truth"])
        said = subprocess.run(
            ["git", "-C", str(clone), "status", "--porcelain"], capture_output=True, text=True, check=True
        )
        assert said.stdout == ""
    finally:
        place.skylift("down", "local", "--yes", "--delete-data", code=None)


def _home(surroundings: dict[str, str]) -> str:
    code = "import skylift, training, serving, infra; print(skylift.__file__, training.__file__, serving.__file__, infra.__file__)"
    places = subprocess.check_output([sys.executable, "-P", "-c", code], env=surroundings, text=True).split()
    return os.path.commonpath(places)
