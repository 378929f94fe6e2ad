"""The engine's event log, line by line, as few plain types: what happens to which resource, what it says, how it ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Severity = Literal["info", "output", "warning", "error"]
"""`output` is what a program or a plugin printed."""


@dataclass(frozen=True)
class ResourceStep:
    """A resource is being changed, or has been.

    Args:
        op: `create`, `update`, `delete`, `replace`, `refresh`, `same` …, as Pulumi names it.
        name: as in the program: `default-supervisor`.
        kind: the type's last part: `Supervisor`.
        state: `started`, then `done` or `failed`. A preview only starts.
        changed: names of the properties that differ, where the engine knows them.
    """

    op: str
    name: str
    kind: str
    urn: str
    state: Literal["started", "done", "failed"]
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Message:
    """What the engine, a provider or the program says."""

    severity: Severity
    text: str
    urn: str = ""


OnEvent = Callable[[ResourceStep | Message], None]


@dataclass(frozen=True)
class Summary:
    """How an operation ended.

    Args:
        changes: number of resources by operation: `{"create": 2, "same": 4}`.
        steps: every resource that was (or, in a preview, would be) changed, in order.
        seconds: how long it took [s].
    """

    changes: dict[str, int] = field(default_factory=dict)
    steps: tuple[ResourceStep, ...] = ()
    seconds: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether anything was or would be changed."""
        return any(count for op, count in self.changes.items() if op not in ("same", "read"))


class EventLog:
    """Follows a growing event log and remembers what a Summary and an error need."""

    def __init__(self, path: Path, on_event: OnEvent | None) -> None:
        self.path = path
        self._on_event = on_event
        self._offset = 0
        self._steps: dict[str, ResourceStep] = {}
        self.errors: list[str] = []
        self.changes: dict[str, int] = {}

    @property
    def steps(self) -> tuple[ResourceStep, ...]:
        quiet = ("same", "read", "refresh")
        return tuple(
            step for step in self._steps.values() if step.op not in quiet and "::pulumi:providers:" not in step.urn
        )

    def follow(self) -> None:
        """Take in what is new, whole lines only."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        for event in parse(whole.splitlines()):
            self._take(event)

    def _take(self, event: ResourceStep | Message | dict[str, int]) -> None:
        if isinstance(event, dict):
            self.changes = event
            return
        if isinstance(event, ResourceStep):
            self._steps[event.urn] = event
        elif event.severity == "error":
            self.errors.append(event.text)
        if self._on_event is not None:
            self._on_event(event)


def parse(lines: Iterable[bytes]) -> Iterable[ResourceStep | Message | dict[str, int]]:
    """Events that matter, in order; a dict is the summary's count by operation. Unknown kinds of newer engines are left out."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        found = _read(event)
        if found is not None:
            yield found


def _read(event: dict[str, Any]) -> ResourceStep | Message | dict[str, int] | None:
    if "resourcePreEvent" in event:
        return _step(event["resourcePreEvent"]["metadata"], "started")
    if "resOutputsEvent" in event:
        return _step(event["resOutputsEvent"]["metadata"], "done")
    if "resOpFailedEvent" in event:
        return _step(event["resOpFailedEvent"]["metadata"], "failed")
    if "diagnosticEvent" in event:
        return _message(event["diagnosticEvent"])
    if "summaryEvent" in event:
        return {op: count for op, count in event["summaryEvent"].get("resourceChanges", {}).items() if count}
    return None


def _step(metadata: dict[str, Any], state: Literal["started", "done", "failed"]) -> ResourceStep:
    urn = metadata["urn"]
    return ResourceStep(
        op=metadata["op"],
        name=urn.rpartition("::")[2],
        kind=str(metadata.get("type", "")).rpartition(":")[2],
        urn=urn,
        state=state,
        changed=tuple(sorted(metadata.get("detailedDiff") or metadata.get("diffs") or ())),
    )


def _message(diagnostic: dict[str, Any]) -> Message | None:
    severities: dict[str, Severity] = {"info": "info", "info#err": "output", "warning": "warning", "error": "error"}
    severity = severities.get(diagnostic.get("severity", ""))
    text = str(diagnostic.get("message", "")).strip()
    if severity is None or not text or diagnostic.get("ephemeral"):
        return None
    return Message(severity, text, diagnostic.get("urn", ""))
