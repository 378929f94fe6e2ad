"""Who trains together: the same description on every machine, but for one's own place in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from skylift.errors import InputError

Role = Literal["chief", "worker", "ps"]


@dataclass(frozen=True)
class Cluster:
    """The members of a run by address (`host:port`), and which of them this process is.

    Args:
        members: in order. Without parameter servers all are workers, of which number 0 is the chief. With them number 0
            coordinates, the last `ps` hold the parameters, and those between learn.
    """

    members: tuple[str, ...]
    index: int
    ps: int = 0

    def __post_init__(self) -> None:
        doubled = sorted({each for each in self.members if self.members.count(each) > 1})
        if doubled:
            raise InputError(
                f"two members of the group have the address {doubled[0]}",
                hint="give each member a machine or a port of its own",
            )
        if not 0 <= self.index < len(self.members):
            raise InputError(
                f"this member is number {self.index} of a group of {len(self.members)}",
                hint="number the members from 0, and start as many as the run has",
            )
        if self.ps and len(self.members) < self.ps + 2:
            raise InputError(
                f"a group of {len(self.members)} with {self.ps} parameter servers has nobody who learns",
                hint="it needs a chief and a worker besides them",
            )

    @property
    def role(self) -> Role:
        return role_of(self.index, len(self.members), self.ps)

    @property
    def workers(self) -> int:
        """Processes that learn."""
        return len(self.members) - (self.ps + 1 if self.ps else 0)

    def tf_config(self) -> str:
        """The environment variable TF_CONFIG, as tf.distribute reads it. Of workers alone number 0 is the chief."""
        if not self.ps:
            task = {"type": "worker", "index": self.index}
            return json.dumps({"cluster": {"worker": list(self.members)}, "task": task})
        last = len(self.members) - self.ps
        jobs = {"chief": self.members[:1], "worker": self.members[1:last], "ps": self.members[last:]}
        first = {"chief": 0, "worker": 1, "ps": last}[self.role]
        return json.dumps({"cluster": jobs, "task": {"type": self.role, "index": self.index - first}})


def role_of(index: int, count: int, ps: int) -> Role:
    """What the member of that number does in a group of so many."""
    if not ps:
        return "worker"
    if index == 0:
        return "chief"
    return "ps" if index >= count - ps else "worker"


def read_tf_config(text: str) -> Cluster | None:
    """The cluster that a TF_CONFIG describes, its chief as number 0; None for a single member.

    Raises:
        InputError: it is no JSON of that form, or has roles that this loop has no use for.
    """
    try:
        given = json.loads(text)
        tasks, own = given.get("cluster", {}), given.get("task", {})
        chiefs, workers, servers = ([str(each) for each in tasks.get(role, [])] for role in ("chief", "worker", "ps"))
        role, index = own.get("type", "worker"), int(own.get("index", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"TF_CONFIG cannot be read: {error}", hint=_FORM) from None
    _refuse_roles(tasks, role)
    if servers and len(chiefs) != 1:
        raise InputError(
            f"TF_CONFIG has parameter servers and {len(chiefs) or 'no'} chief{'s' * (len(chiefs) > 1)}",
            hint="parameter servers need one `chief`, which coordinates, beside `worker` and `ps`",
        )
    everyone = (*chiefs, *workers, *servers)
    if len(everyone) < 2:
        return None
    before = {"chief": 0, "worker": len(chiefs), "ps": len(chiefs) + len(workers)}
    return Cluster(everyone, index + before[role], len(servers))


def _refuse_roles(tasks: dict[str, Any], role: str) -> None:
    others = sorted(set(tasks) - {"chief", "worker", "ps"})
    if others or role not in ("chief", "worker", "ps"):
        raise InputError(
            f"TF_CONFIG has the roles {', '.join(others) or role}", hint="use `chief`, `worker` and `ps` only"
        )


_FORM = 'it is JSON such as {"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
