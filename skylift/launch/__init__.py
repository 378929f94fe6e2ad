"""Starting a run on a target. A launcher is told what lies in the bucket; everything else the run reads itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from skylift.artifacts.records import RunSpec, RunStatus
from skylift.errors import NotFoundError
from skylift.stack.project import Project


class Launcher(Protocol):
    """What every target can do with a run. Stopping goes through the bucket (cancel.json), on all targets alike."""

    def start(self, project: Project, spec: RunSpec, secrets: Mapping[str, str]) -> None:
        """Start the run that `runs/<id>/run.json` describes; return when it is on its way."""

    def is_dead(self, status: RunStatus) -> bool:
        """Whether the run is known to be gone, sooner than its heartbeat tells."""

    def output(self, project: Project, spec: RunSpec) -> str:
        """The last lines that the run's program printed itself, for when it ended before it could write anything."""


def launcher(target: str) -> Launcher:
    """The launcher of a target."""
    if target == "local":
        from skylift.launch.local import LocalLauncher

        return LocalLauncher()
    raise NotFoundError(
        f"this release starts no runs on target {target!r}",
        hint="it provisions that target; train on a stack of target local (`skylift init local`)",
    )
