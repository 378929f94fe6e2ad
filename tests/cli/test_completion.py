"""Completion scripts, and what they are answered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_it_can_read(skylift, shell):
    ended = skylift("completion", shell)
    assert ended.code == 0
    assert "_SKYLIFT_COMPLETE" in ended.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=ended.out, text=True, check=True)


def test_the_shell_is_known_from_the_environment(skylift, monkeypatch):
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert skylift("completion", "--json").document["shell"] == "fish"


def test_another_shell_is_named(skylift, monkeypatch):
    monkeypatch.setenv("SHELL", "/usr/bin/tcsh")
    ended = skylift("completion")
    assert ended.code == 2
    assert "tcsh" in ended.err


def _complete(words: str, count: int, cwd: str) -> list[str]:
    surroundings = {**os.environ, "_SKYLIFT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    done = subprocess.run(
        [sys.executable, "-m", "skylift.cli"], env=surroundings, cwd=cwd, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_commands_options_and_stacks_are_completed(empty):
    (empty / "Pulumi.yaml").write_text("name: skylift\nruntime: python\n")
    (empty / "stacks").mkdir()
    for name in ("local", "lab", "other"):
        (empty / "stacks" / f"Pulumi.{name}.yaml").write_text("config: {}\n")
    assert _complete("skylift ro", 1, str(empty)) == ["rollback"]
    assert set(_complete("skylift down --de", 2, str(empty))) == {"--delete-data", "--debug"}
    assert _complete("skylift up l", 2, str(empty)) == ["lab", "local"]
    assert _complete("skylift logs --stack ", 3, str(empty)) == ["lab", "local", "other"]


def test_what_cannot_be_completed_is_no_error(empty):
    assert _complete("skylift up l", 2, str(empty)) == []
    assert _complete("skylift deploy m", 2, str(empty)) == []
