"""Who trains together: the same description on every machine, but for one's own place in it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from skylift.errors import InputError


@dataclass(frozen=True)
class Cluster:
    """The members of a run by address (`host:port`), worker 0 first, and which of them this process is."""

    workers: tuple[str, ...]
    index: int

    def __post_init__(self) -> None:
        doubled = sorted({each for each in self.workers if self.workers.count(each) > 1})
        if doubled:
            raise InputError(
                f"two members of the group have the address {doubled[0]}",
                hint="give each member a machine or a port of its own",
            )
        if not 0 <= self.index < len(self.workers):
            raise InputError(
                f"this member is number {self.index} of a group of {len(self.workers)}",
                hint="number the members from 0, and start as many as the run has workers",
            )

    def tf_config(self) -> str:
        """The environment variable TF_CONFIG, as tf.distribute reads it. Worker 0 is the chief."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.workers)}, "task": task})


def read_tf_config(text: str) -> Cluster | None:
    """The cluster that a TF_CONFIG describes, its chief as worker 0; None for a single member.

    Raises:
        InputError: it is no JSON of that form, or has roles that this loop has no use for.
    """
    try:
        given = json.loads(text)
        tasks, own = given.get("cluster", {}), given.get("task", {})
        chiefs, workers = list(tasks.get("chief", [])), list(tasks.get("worker", []))
        role, index = own.get("type", "worker"), int(own.get("index", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"TF_CONFIG cannot be read: {error}", hint=_FORM) from None
    others = sorted(set(tasks) - {"chief", "worker"})
    if others or role not in ("chief", "worker"):
        raise InputError(f"TF_CONFIG has the roles {', '.join(others) or role}", hint="use workers and a chief only")
    everyone = tuple(map(str, (*chiefs, *workers)))
    if len(everyone) < 2:
        return None
    return Cluster(everyone, index if role == "chief" else index + len(chiefs))


_FORM = 'it is JSON such as {"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
