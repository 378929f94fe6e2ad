"""Runs on this machine: one detached process that outlives the command that started it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from skylift.artifacts import layout
from skylift.artifacts.records import RunSpec, RunStatus
from skylift.errors import MachineError
from skylift.stack.project import Project


class LocalLauncher:
    """Starts `python -P -m training run`; `-P` keeps a folder named `training` in the user's project out of the way."""

    def start(self, project: Project, spec: RunSpec, secrets: Mapping[str, str]) -> None:
        log = _log(project, spec)
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = [sys.executable, "-P", "-m", "training", "run", "--run", f"{spec.keep}/{layout.run(spec.id)}"]
        environment = {**os.environ, **spec.env, **secrets}
        try:
            with log.open("ab") as output:
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=project.root,
                    start_new_session=True,
                )
        except OSError as error:
            raise MachineError(f"cannot start the run: {error.strerror}", hint=f"check {log.parent}") from error

    def is_dead(self, status: RunStatus) -> bool:
        import psutil

        return status.pid is not None and status.host == socket.gethostname() and not psutil.pid_exists(status.pid)

    def output(self, project: Project, spec: RunSpec) -> str:
        try:
            return _log(project, spec).read_text(errors="replace")[-2000:].strip()
        except OSError:
            return ""


def _log(project: Project, spec: RunSpec) -> Path:
    return project.hidden / "local" / spec.stack / "runs" / f"{spec.id}.log"
