"""What a run in a cluster says of its GPUs, with a clock and a use of its own."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from training.run import gpus


def test_it_tells_every_five_minutes_how_long_nothing_was_done() -> None:
    told = gpus.Idle("r", 0.0)
    used = [90, 4, 0, 0, 3, 0, 0, 70, 0, 0]
    lines = [told.look(percent, 60.0 * (minute + 1)) for minute, percent in enumerate(used)]
    assert [index for index, line in enumerate(lines) if line] == [4, 9]
    assert [json.loads(line) for line in lines if line] == [
        {"event": "gpu", "run": "r", "idle_minutes": 4},
        {"event": "gpu", "run": "r", "idle_minutes": 2},
    ]


def test_what_is_not_known_is_not_idle() -> None:
    told = gpus.Idle("r", 0.0)
    line = [told.look(None, 60.0 * minute) for minute in range(1, 6)][-1]
    assert line is not None and json.loads(line)["idle_minutes"] == 0


@pytest.mark.parametrize(("said", "percent"), [("3\n97\n12\n", 97), ("[N/A]\n", None), ("", None)])
def test_the_busiest_gpu_counts(said: str, percent: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(arguments, 0, stdout=said)

    assert gpus.use(run) == percent
    assert bool(capsys.readouterr().err) == (percent is None)


def test_a_machine_without_the_program_says_nothing_but_why(capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: Any, **options: Any) -> subprocess.CompletedProcess[str]:
        raise FileNotFoundError("nvidia-smi")

    assert gpus.use(run) is None and "not known" in capsys.readouterr().err
