"""What a refresh found that `up` would mend: sizes that belong to autoscalers and launchers are no drift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from skylift.engine.events import ResourceStep, Summary


def mendable(summary: Summary, resources: Iterable[Mapping[str, Any]]) -> Summary:
    """The summary without resources of which only such properties differ that the program ignores.

    Args:
        resources: as `pulumi stack export` tells them; it keeps what each was told to ignore.
    """
    ignored = {str(one["urn"]): tuple(one.get("ignoreChanges") or ()) for one in resources}
    left = tuple(step for step in summary.steps if not _is_ignored(step, ignored.get(step.urn, ())))
    changes = dict(summary.changes)
    for _ in range(len(summary.steps) - len(left)):
        changes["update"] = changes.get("update", 0) - 1
        changes["same"] = changes.get("same", 0) + 1
    return replace(summary, changes={op: count for op, count in changes.items() if count > 0}, steps=left)


def _is_ignored(step: ResourceStep, paths: tuple[str, ...]) -> bool:
    return (
        step.op == "update"
        and bool(step.changed)
        and all(any(one == path or one.startswith((f"{path}.", f"{path}[")) for path in paths) for one in step.changed)
    )
