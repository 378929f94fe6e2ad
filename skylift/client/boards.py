"""Runs in TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skylift.artifacts import runs
from skylift.client.stack import Stack
from skylift.launch.asking import ask_training, run_training


def write(stack: Stack, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """Write the files that TensorBoard reads into a folder: `logdir` and how many `events`.

    Raises:
        NotFoundError: there is no such run.
    """
    answer: dict[str, Any] = ask_training(_arguments(stack, names, folder))
    return answer


def show(stack: Stack, names: Sequence[str], folder: Path, port: int) -> int:
    """Show them at http://127.0.0.1:PORT until Ctrl-C, following runs that are at work; TensorBoard's exit code.

    Raises:
        NotFoundError: there is no such run.
    """
    return run_training([*_arguments(stack, names, folder), "--port", str(port)])


def _arguments(stack: Stack, names: Sequence[str], folder: Path) -> list[str]:
    ids = [runs.find_run(stack.keep, name) for name in names]
    return ["tensorboard", *ids, "--keep", stack.keep.url, "--work", stack.work.url, "--logdir", str(folder)]
