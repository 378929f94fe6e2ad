"""What each version of one model does, and what is to be done next. No clock, no thread, no file: times are passed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from serving.interface import Code, State, VersionStatus
from serving.sources.policy import IN_MEMORY, Mode, Phase, Snapshot, Step, next_step

FIRST_RETRY_SECONDS = 1.0
ENDED_KEPT = 100
"""How many versions that are no longer loaded a model's status still shows."""
_STATES: Mapping[Phase, State] = {
    "new": "START",
    "waiting": "LOADING",
    "loading": "LOADING",
    "available": "AVAILABLE",
    "unloading": "UNLOADING",
    "failed": "END",
    "ended": "END",
}


@dataclass(frozen=True)
class Load:
    """Load a version from its folder, then call `loaded` or `failed`."""

    name: str
    version: int
    folder: Path


@dataclass(frozen=True)
class Unload:
    """Let a version answer what it has begun and free it, then call `unloaded`."""

    name: str
    version: int


Action = Load | Unload


@dataclass(frozen=True)
class _Known:
    folder: Path
    phase: Phase = "new"
    is_wanted: bool = True
    failures: int = 0
    retry_at: float = 0.0
    code: Code = Code.OK
    message: str = ""


def _is_over(known: _Known, folder: Path) -> bool:
    """Whether a version that is wanted begins anew. One that was given up does where it comes again or its files are others."""
    if known.phase == "failed":
        return not known.is_wanted or known.folder != folder
    return known.phase in ("new", "ended")


class Reconciler:
    """The versions of one model.

    Call `want` whenever the wanted versions are known anew, then `next` until it returns None; and again after each `loaded`,
    `failed` and `unloaded`, and at the time that `due` names.

    Args:
        max_retries: further attempts after the first one fails; then the version is given up until its folder changes.
        retry_seconds: the longest pause between two attempts [s]. The first pause is 1 s, each further one twice as long.
        max_loads: versions of this model that are loaded at once.
    """

    def __init__(
        self,
        name: str,
        *,
        mode: Mode = "availability",
        max_retries: int = 5,
        retry_seconds: float = 60.0,
        max_loads: int = 1,
    ) -> None:
        self.name = name
        self.mode = mode
        self._max_retries = max_retries
        self._retry_seconds = retry_seconds
        self._max_loads = max_loads
        self._known: dict[int, _Known] = {}
        self._set_aside: set[int] = set()
        """Good versions that were unloaded to make room for others."""

    def want(self, versions: Mapping[int, Path]) -> None:
        """Serve these from now on, each from its folder. None at all unloads everything."""
        for version, known in self._known.items():
            if version not in versions:
                phase = "ended" if known.phase in ("new", "waiting") else known.phase
                self._known[version] = replace(known, is_wanted=False, phase=phase)
        for version, folder in versions.items():
            before = self._known.get(version)
            if before is None or _is_over(before, folder):
                self._known[version] = _Known(folder)
            else:
                self._known[version] = replace(before, is_wanted=True)
        if not versions:
            self._set_aside.clear()
        self._forget()

    def next(self, now: float) -> Action | None:
        """What to begin now, and it counts as begun. None: nothing, until something ends or `due` passes."""
        for version, known in self._known.items():
            if known.phase == "waiting" and known.retry_at <= now:
                self._known[version] = replace(known, phase="new")
        step = next_step(self._snapshots(), self.mode) or self._fall_back()
        if step is None or (step.verb == "load" and self._count("loading") >= self._max_loads):
            return None
        known = self._known[step.version]
        if step.verb == "unload":
            self._known[step.version] = replace(known, phase="unloading")
            if self.mode == "resources" and any(one.is_wanted for one in self._known.values()):
                self._set_aside.add(step.version)
            return Unload(self.name, step.version)
        self._known[step.version] = replace(known, phase="loading")
        return Load(self.name, step.version, known.folder)

    def _fall_back(self) -> Step | None:
        """Load again what was unloaded for versions that have all failed."""
        wanted = [one for one in self._known.values() if one.is_wanted]
        if not wanted or any(one.phase != "failed" for one in wanted):
            return None
        good = [version for version in self._set_aside if self._known[version].phase == "ended"]
        if not good or any(one.phase in IN_MEMORY for one in self._known.values()):
            return None
        return Step("load", max(good))

    def loaded(self, version: int) -> None:
        """A version answers."""
        known = self._known[version]
        self._known[version] = replace(known, phase="available", failures=0, code=Code.OK, message="")
        if known.is_wanted:
            self._set_aside.clear()

    def failed(
        self, version: int, code: Code, message: str, now: float, *, is_final: bool = False, is_elsewhere: bool = False
    ) -> None:
        """A version could not be loaded.

        Args:
            is_final: no further attempt can help.
            is_elsewhere: what is wrong is another server's, and comes right some time: attempts are not counted.
        """
        known = replace(self._known[version], failures=self._known[version].failures + 1, code=code, message=message)
        is_over = is_final or not known.is_wanted or (known.failures > self._max_retries and not is_elsewhere)
        if is_over:
            self._set_aside.discard(version)
            self._known[version] = replace(known, phase="failed")
        else:
            self._known[version] = replace(known, phase="waiting", retry_at=now + self._pause(known.failures))

    def _pause(self, failures: int) -> float:
        return max(0.0, min(self._retry_seconds, FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 30)))

    def unloaded(self, version: int) -> None:
        """A version is gone from memory. If it was wanted again meanwhile, it is loaded anew."""
        known = self._known[version]
        self._known[version] = _Known(known.folder) if known.is_wanted else replace(known, phase="ended")
        self._forget()

    def due(self) -> float | None:
        """When `next` has something to say again without anything having ended."""
        return min((one.retry_at for one in self._known.values() if one.phase == "waiting"), default=None)

    @property
    def available(self) -> list[int]:
        """Versions that answer, oldest first."""
        return sorted(version for version, one in self._known.items() if one.phase == "available")

    @property
    def is_settled(self) -> bool:
        """Whether everything wanted answers or was given up."""
        return all(one.phase in ("available", "failed") for one in self._known.values() if one.is_wanted)

    @property
    def is_gone(self) -> bool:
        """Whether nothing is wanted and nothing is in memory."""
        return not any(one.is_wanted or one.phase in IN_MEMORY for one in self._known.values())

    @property
    def folders(self) -> set[Path]:
        """Folders that may still be read: whoever fetched them keeps them."""
        return {
            one.folder
            for version, one in self._known.items()
            if one.is_wanted or one.phase in IN_MEMORY or version in self._set_aside
        }

    def statuses(self) -> Sequence[VersionStatus]:
        """Every version that is known, oldest first, as TensorFlow Serving's status shows it.

        One that is tried again is LOADING, with the error of the last attempt.
        """
        return [
            VersionStatus(version, _STATES[one.phase], one.code, one.message)
            for version, one in sorted(self._known.items())
        ]

    def _snapshots(self) -> list[Snapshot]:
        return [Snapshot(version, one.phase, one.is_wanted) for version, one in self._known.items()]

    def _count(self, phase: Phase) -> int:
        return sum(one.phase == phase for one in self._known.values())

    def _forget(self) -> None:
        over = [
            version for version, one in self._known.items() if one.phase in ("ended", "failed") and not one.is_wanted
        ]
        for version in sorted(set(over) - self._set_aside)[:-ENDED_KEPT]:
            del self._known[version]
