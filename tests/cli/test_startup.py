"""What the first second is spent on: the command line loads click and nothing else of weight."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys
sys.argv = ["skylift", *sys.argv[1:]]
from skylift.cli import main
try:
    main()
except SystemExit as left:
    assert not left.code, left.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""

ALLOWED = {"click", "skylift"}


def _loaded(*arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_loads_only_click_and_ours(arguments):
    loaded = _loaded(*arguments)
    bare = set(
        json.loads(
            subprocess.check_output([sys.executable, "-c", "import json, sys; print(json.dumps(sorted(sys.modules)))"])
        )
    )
    foreign = {name.partition(".")[0] for name in loaded - bare} - set(sys.stdlib_module_names)
    assert foreign == ALLOWED
    assert {name for name in loaded if name.startswith("skylift")} == {
        "skylift",
        "skylift.cli",
        "skylift.cli._errors",
        "skylift.cli._group",
    }


def test_help_of_a_command_loads_nothing_heavy():
    heavy = {
        "tensorflow",
        "pulumi",
        "numpy",
        "rich",
        "obstore",
        "msgspec",
        "yaml",
        "psutil",
        "keyring",
        "PIL",
    }
    for command in ("train", "up", "models", "predict", "quickstart"):
        loaded = {name.partition(".")[0] for name in _loaded(command, "--help")}
        assert not loaded & heavy, command


def test_expensive_parts_of_the_standard_library_stay_out():
    assert not _loaded("--help") & {
        "dataclasses",
        "difflib",
        "traceback",
        "pathlib",
        "asyncio",
        "subprocess",
        "logging",
    }


def test_the_start_costs_little_more_than_click_alone():
    program = Path(__file__).parents[2] / "benchmarks" / "startup.py"
    command = [sys.executable, str(program), "--rounds", "7", "--limit", "0.4"]  # the ratio holds on any machine
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
