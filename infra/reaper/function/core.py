"""Which run groups are past their end. The same for all clouds; nothing here asks one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

STACK = "skylift-stack"
RUN = "skylift-run"
END = "skylift-end"

GRACE = timedelta(minutes=20)
"""After its end a group's machines save, report and leave by themselves; only what is still there then is removed."""
PATIENCE = timedelta(hours=24)
"""How old a run group without an end may be before people are told."""

_MOMENT = re.compile(r"\d{8}t\d{6}z")


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of machines as the cloud tells it. `id` is what its removal is asked by, `born` may be unknown."""

    id: str
    tags: Mapping[str, str]
    born: datetime | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to remove, and what people must look at, with the reason."""

    remove: tuple[Group, ...]
    report: tuple[tuple[Group, str], ...]


class ReaperError(Exception):
    """Something was not removed or needs a look. Raised last, so that the platform counts an error and the alarm rings."""


def moment(text: str) -> datetime:
    """The time that a tag or label says: `20261122t234501z`, UTC; small letters, for Google's labels take no others.

    Raises:
        ValueError: it says none.
    """
    if not _MOMENT.fullmatch(text):
        raise ValueError(f"{text!r} is no time like 20261122t234501z")
    return datetime.strptime(text, "%Y%m%dt%H%M%Sz").replace(tzinfo=UTC)


def judge(groups: Iterable[Group], stack: str, now: datetime) -> Verdict:
    """Sort out the run groups of one stack. Groups of other stacks, and groups that serve, are never touched."""
    remove: list[Group] = []
    report: list[tuple[Group, str]] = []
    for group in groups:
        if group.tags.get(STACK) != stack or RUN not in group.tags:
            continue
        try:
            over = now >= moment(group.tags[END]) + GRACE if END in group.tags else None
        except ValueError as error:
            report.append((group, f"its tag {END} is wrong: {error}"))
            continue
        if over:
            remove.append(group)
        elif over is None and (group.born is None or now >= group.born + PATIENCE):
            report.append((group, f"it has no tag {END}, so it is never removed"))
    return Verdict(remove=tuple(remove), report=tuple(report))


def reap(groups: Iterable[Group], remove: Callable[[Group], None], stack: str, now: datetime) -> list[str]:
    """Remove what is past its end, going on past failures, and return the ids.

    Raises:
        ReaperError: at the end, naming each group that could not be listed, removed or judged.
    """
    if not stack:
        raise ReaperError("SKYLIFT_STACK is empty: no group is touched")
    seen: list[Group] = []
    wrong: list[str] = []
    try:
        for group in groups:
            seen.append(group)
    except Exception as error:  # what was listed before is judged all the same
        wrong.append(f"listing: {type(error).__name__}: {error}")
    verdict = judge(seen, stack, now)
    wrong += [f"{group.id}: {why}" for group, why in verdict.report]
    gone: list[str] = []
    for group in verdict.remove:
        try:
            remove(group)
            gone.append(group.id)
        except Exception as error:
            wrong.append(f"{group.id}: {type(error).__name__}: {error}")
    print(json.dumps({"stack": stack, "seen": len(seen), "removed": gone, "wrong": wrong}))
    if wrong:
        raise ReaperError("; ".join(wrong))
    return gone
