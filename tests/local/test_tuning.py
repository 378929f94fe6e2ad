"""A whole study on a local stack: interrupted, resumed, with a trial that diverges, to a published model."""

from __future__ import annotations

import json

import pytest

from tests.local.conftest import RECIPE, Place, interrupt, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FLOWERS = (
    RECIPE.replace("Iris flowers", "Flowers that wait at a gate")
    .replace(
        '    fault: str = setting("", "What goes wrong.")\n',
        '    fault: str = setting("", "What goes wrong.")\n    scale: float = setting(1.0, "What inputs are multiplied by.")\n',
    )
    .replace('name="flower"), keras', 'name="flower"), keras.layers.Rescaling(hp.scale), keras')
    .replace("time.sleep(hp.pause)", 'while not os.path.exists(os.environ["GATE"]):\n        time.sleep(0.05)')
)
"""The recipe with inputs of which numbers may run out, and `load` waits for a file."""


def test_a_study_is_interrupted_resumed_and_ends_with_a_model(stack: Place) -> None:
    gate = stack.folder / "gate"
    (stack.folder / "flowers.py").write_text(FLOWERS)
    asked = ["flowers.py", "--search", "lr=0.001..0.1:log", "--search", "scale=1,1e38", "--trials", "3", "--seed", "3"]
    watching = stack.begin("tune", *asked, "--name", "flowers", "--env", f"GATE={gate}")
    begun = stack.keep / "studies" / "flowers" / "begun"
    runs = wait_for(lambda: (found := stack.runs()) and len(found) == 2 and found, "two at once")
    for run in runs:
        wait_for(lambda run=run: "running" in _status(stack, run), "a sign of life")  # type: ignore[misc]
    left = interrupt(watching)
    assert left.code == 130 and "--resume flowers" in left.err, left.err
    assert sorted(path.name for path in begun.iterdir()) == ["0.000.json", "1.000.json"]

    gate.touch()
    found = stack.json("tune", "--resume", "flowers", "--html", "study.html")
    assert [trial["number"] for trial in found["trials"]] == [0, 1, 2], "each has ended once"
    states = [trial["state"] for trial in found["trials"]]
    assert states[0] == "complete" and found["trials"][0]["values"] == {"learning_rate": 0.001, "scale": 1.0}
    diverged = [trial for trial in found["trials"] if trial["values"]["scale"] > 1]
    assert diverged and all(trial["state"] == "failed" for trial in diverged)
    assert {trial["failure"]["kind"] for trial in diverged} == {"diverged"}
    for run in runs:
        assert stack.json("runs", run)["state"] == "cancelled"
    went_on = [trial["run"] for trial in found["trials"][:2]]
    assert {stack.json("runs", run)["spec"]["resumed_from"] for run in went_on} == set(runs)

    best, model = found["best"], found["final"]["model"]
    assert best["value"] == max(trial["value"] for trial in found["trials"] if trial["state"] == "complete")
    assert model["version"] == 1, "no trial has published one"
    spec = stack.json("runs", found["final"]["id"])["spec"]
    assert spec["hyperparameters"].items() >= best["values"].items()
    page = (stack.folder / "study.html").read_text()
    assert page.count("<svg") > 4 and "http" not in page.replace("http://www.w3.org", "")
    trial = stack.json("runs", best["run"])["result"]
    assert trial["model"] is None and set(trial["metrics"]) == {"val_loss", "val_accuracy"}
    listed = stack.skylift("runs").out
    assert found["final"]["id"] in listed and best["run"] not in listed
    assert best["run"] in stack.skylift("runs", "--study", "flowers").out


def _status(stack: Place, run: str) -> str:
    path = stack.work / "live" / run / "status.json"
    return str(json.loads(path.read_text())["state"]) if path.exists() else ""
