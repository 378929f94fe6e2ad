"""Which version of a model to load or unload next, and which version a label may name. Pure functions.

The order is the original's (https://github.com/tensorflow/serving/tree/master/tensorflow_serving/core:
availability_preserving_policy.cc, resource_preserving_policy.cc), but for one thing: what answers is not given up for versions
that have all failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from serving.interface import Code, ModelConfig, StatusError, VersionStatus

Mode = Literal["availability", "resources"]
"""availability: load the new before the old is unloaded. resources: the reverse, where memory holds only one of them."""

Phase = Literal["new", "waiting", "loading", "available", "unloading", "failed", "ended"]
"""new: may be loaded now. waiting: for the time of its next attempt. failed: given up. ended: unloaded, or never loaded."""

IN_MEMORY: frozenset[Phase] = frozenset({"loading", "available", "unloading"})
_PENDING: frozenset[Phase] = frozenset({"new", "waiting", "loading"})


@dataclass(frozen=True)
class Snapshot:
    version: int
    phase: Phase
    is_wanted: bool


@dataclass(frozen=True)
class Step:
    verb: Literal["load", "unload"]
    version: int


def next_step(versions: Sequence[Snapshot], mode: Mode) -> Step | None:
    """What to do next with a model's versions; None where nothing is to be done, or something must end first."""
    return _keep_answering(versions) if mode == "availability" else _spare_memory(versions)


def _keep_answering(versions: Sequence[Snapshot]) -> Step | None:
    wanted = [one for one in versions if one.is_wanted]
    has_successor = any(one.phase == "available" for one in wanted)
    old = _available(versions, is_wanted=False)
    if old and (not wanted or has_successor or len(old) > 1):
        return Step("unload", min(old))
    return _newest(wanted)


def _spare_memory(versions: Sequence[Snapshot]) -> Step | None:
    wanted = [one for one in versions if one.is_wanted]
    has_hope = any(one.phase in _PENDING or one.phase == "available" for one in wanted)
    old = _available(versions, is_wanted=False)
    if old and (not wanted or has_hope):
        return Step("unload", min(old))
    if any(not one.is_wanted and one.phase in IN_MEMORY for one in versions):
        return None
    return _newest(wanted)


def _available(versions: Sequence[Snapshot], *, is_wanted: bool) -> list[int]:
    return [one.version for one in versions if one.phase == "available" and one.is_wanted is is_wanted]


def _newest(wanted: Sequence[Snapshot]) -> Step | None:
    new = [one.version for one in wanted if one.phase == "new"]
    return Step("load", max(new)) if new else None


def check_labels(
    config: ModelConfig,
    known: Sequence[VersionStatus],
    before: Mapping[str, int],
    *,
    is_first: bool,
    allow_unavailable: bool,
) -> None:
    """Whether a model's labels may be as `config` says.

    A label names a version that answers. Where `allow_unavailable` (--allow_version_labels_for_unavailable_models) a label that is new,
    or stays where it is, may name any. When the server starts none can answer yet: there the original refuses, and we do not.

    Args:
        before: the model's labels until now.

    Raises:
        StatusError: FAILED_PRECONDITION, in the original's words.
    """
    available = {one.version for one in known if one.state == "AVAILABLE"}
    for label, version in config.labels.items():
        may_wait = is_first or (allow_unavailable and before.get(label, version) == version)
        if version not in available and not may_wait:
            raise StatusError(
                Code.FAILED_PRECONDITION,
                f"Request to assign label to version {version} of model {config.name}, which is not currently available"
                " for inference",
            )
