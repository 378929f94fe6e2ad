"""What models take, and that it comes back: measured in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serving.backends import memory
from tests.serving.backends import resident

ROOT = Path(__file__).parents[3]


def measured(what: str, folder: Path) -> Any:
    program = [sys.executable, "-m", "tests.serving.backends.resident", what, str(folder)]
    done = subprocess.run(program, check=True, capture_output=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
class TestHundred:
    def test_models_of_1_mb_take_400_mb_at_most_and_give_them_back(self, tmp_path: Path) -> None:
        resident.write(tmp_path, 100, 512)
        held = measured("many", tmp_path)
        assert held["loaded"] <= 400
        assert held["freed"] <= 0.6 * held["loaded"]

    @pytest.mark.parametrize("form", ["onnx", "saved_model", "tflite"])
    def test_reloads_leave_no_more_than_the_first_did(self, stored: Path, tmp_path: Path, form: str) -> None:
        folder = {"onnx": tmp_path / "0", "saved_model": stored / "several", "tflite": stored / "float"}[form]
        if form == "onnx":
            resident.write(tmp_path, 1, 1500)
        left = measured("again", folder)["freed"]
        assert left[-1] <= 1.1 * left[1], left


def test_trimming_is_harmless_where_there_is_nothing() -> None:
    memory.trim()
    assert memory.resident_bytes() > 10_000_000
