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
from skylift.stack.processes import born
from skylift.stack.project import Project

_started: dict[str, list[subprocess.Popen[bytes]]] = {}
"""The processes of each run that this program started, newest last, so that an end is known at once."""


class LocalLauncher:
    """Starts `python -P -m training run`; `-P` keeps a folder named `training` in the user's project out of the way."""

    def start(self, project: Project, spec: RunSpec, secrets: Mapping[str, str]) -> None:
        log = _log(project, spec)
        command = [sys.executable, "-P", "-m", "training", "run", "--run", f"{spec.keep}/{layout.run(spec.id)}"]
        environment = {**os.environ, **spec.env, **secrets}
        try:
            log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=project.root,
                    start_new_session=True,
                )
        except OSError as error:
            raise MachineError(
                f"run {spec.id} cannot be started: {error.strerror}",
                hint=f"see that {log.parent} can be written and has free space, then `skylift train --resume {spec.id}`",
            ) from error
        _started.setdefault(spec.id, []).append(process)

    def is_dead(self, status: RunStatus) -> bool:
        mine = _started.get(status.id)
        if mine and mine[-1].poll() is not None and status.pid in (None, mine[-1].pid):
            return True
        return status.pid is not None and status.host == socket.gethostname() and born(status.pid) is None

    def output(self, project: Project, spec: RunSpec) -> str:
        try:
            return _log(project, spec).read_text(errors="replace")[-2000:].strip()
        except OSError:
            return ""


def _log(project: Project, spec: RunSpec) -> Path:
    return project.hidden / "local" / spec.stack / "runs" / f"{spec.id}.log"
