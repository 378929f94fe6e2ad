"""Asking a program of another room something: it answers in JSON, and its errors become ours again."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from skylift.errors import MachineError, SkyliftError

Progress = Callable[[int, int, str], None]
"""Told of how much is done, how much there is, and what is being done."""


def ask_training(arguments: Sequence[str]) -> Any:
    """What `python -P -m training ARGUMENTS --json` prints.

    Raises:
        SkyliftError: of the kind that the program met, with its message, hint and details.
        MachineError: it could not start, or ended without a word.
    """
    return ask("training", [*arguments, "--json"])


def ask_training_aloud(arguments: Sequence[str], progress: Progress) -> Any:
    """The same of long work: what it says on stderr of its progress, `[done, in all, text]`, is told as it comes."""
    command = [sys.executable, "-P", "-m", "training", *arguments, "--progress", "--json"]
    said: list[str] = []
    with tempfile.TemporaryFile("w+") as answer:
        process = subprocess.Popen(command, stdout=answer, stderr=subprocess.PIPE, text=True, errors="replace")
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if not _told(line, progress):
                    said = [*said[-50:], line]
            process.wait()
        finally:
            process.terminate()  # where this side was interrupted, or failed to show progress
            process.wait()
            process.stderr.close()
        answer.seek(0)
        done = subprocess.CompletedProcess(command, process.returncode, answer.read(), "".join(said))
    return _answer(done, "training")


def run_training(arguments: Sequence[str]) -> int:
    """Run `python -P -m training ARGUMENTS` with our input and output until it ends, also by Ctrl-C; its exit code."""
    process = subprocess.Popen([sys.executable, "-P", "-m", "training", *arguments])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the program got it, too, and ends by itself
            continue


def _told(line: str, progress: Progress) -> bool:
    """Whether a line was one of progress, which then was told."""
    try:
        done, total, text = json.loads(line)
        progress(int(done), int(total), str(text))
    except (ValueError, TypeError):
        return False
    return True


def ask(module: str, arguments: Sequence[str]) -> Any:
    """What `python -P -m MODULE ARGUMENTS` prints. Raises like ask_training."""
    command = [sys.executable, "-P", "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    return _answer(done, module)


def _answer(done: subprocess.CompletedProcess[str], module: str) -> Any:
    if done.returncode != 0:
        raise _error(done.stdout) or _silent(done, module)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise _silent(done, module) from None


def _error(printed: str) -> SkyliftError | None:
    """The error in what the program printed; None where there is none."""
    try:
        return told_error(json.loads(printed))
    except ValueError:
        return None


def told_error(answer: Any) -> SkyliftError | None:
    """An error that a program answered with, as its own class; None where the answer is none."""
    try:
        said = answer["error"]
        classes = _classes(SkyliftError)[
            ::-1
        ]  # a kind and an exit code mean the class nearest to the root that has them
        known = {each.kind: each for each in classes}
        codes = {each.exit_code: each for each in classes}
        kind = known.get(said["kind"]) or codes.get(said["exit_code"], SkyliftError)
        return kind(said["message"], hint=said["hint"], details=said.get("details"))
    except (KeyError, TypeError):
        return None


def _classes(base: type[SkyliftError]) -> list[type[SkyliftError]]:
    """The class and all below it, parents first."""
    return [base] + [each for child in base.__subclasses__() for each in _classes(child)]


def _silent(done: subprocess.CompletedProcess[str], module: str) -> MachineError:
    if done.returncode < 0:
        return MachineError(
            f"the {module} program was ended by signal {-done.returncode}",
            hint="where memory ran out, close other programs or use a larger machine",
        )
    last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
    return MachineError(
        f"the {module} program cannot do it: {last}", hint="`skylift doctor` shows what this machine lacks"
    )
