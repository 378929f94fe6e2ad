"""Grants as data: who may do what on which things. Each cloud writes its own (infra/<cloud>/grants.py); components make them real,
`skylift permissions` prints them, docs/permissions.md lists them. Nothing here imports a cloud's SDK."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

from infra.context import Context

Who = Literal[
    "up",
    "training",
    "serving",
    "host",
    "launcher",
    "releaser",
    "approver",
    "custodian",
    "caller",
    "reaper",
    "nodes",
    "cluster",
    "autoscaler",
    "logs",
    "encryption",
    "workspace",
    "services",
]
"""Identities of DESIGN's table; `caller` is who predicts, `up` is who runs `skylift up`; `nodes`, `cluster`, `autoscaler` and `logs` are
a cluster's own. `encryption` uses the key for what services keep: Google's agents, on Azure an identity. `workspace` is Azure ML;
`services` are AWS' own, whom the policies of single things name."""

PERSONS: dict[str, Who] = {
    "up": "up",
    "train": "launcher",
    "release": "releaser",
    "approve": "approver",
    "predict": "caller",
    "clean": "custodian",
}
"""What `skylift permissions --as` takes."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One right.

    Args:
        who: the identity.
        what: why it is needed, as a sentence without subject: "write checkpoints of runs".
        actions: exact names, never with a wildcard: `s3:PutObject`, `storage.objects.create`, `Microsoft.Storage/…/write`.
            On Google a predefined role may stand instead: `roles/artifactregistry.reader`.
        on: resources with the stack's names filled in; a prefix ends in `/*`.
        condition: in the cloud's own form.
        data: Azure: whether these are data actions.
        wide: the provider's reason where an action cannot be narrowed to a resource (`ecr:GetAuthorizationToken`).
    """

    who: Who
    what: str
    actions: tuple[str, ...]
    on: tuple[str, ...]
    condition: Mapping[str, Any] = field(default_factory=dict)
    data: bool = False
    wide: str = ""


class Room(Protocol):
    """What infra.<cloud>.grants offers."""

    def grants(self, context: Context) -> tuple[Grant, ...]:
        """Every right that the stack gives or needs. Pure: from the settings alone."""

    def document(self, context: Context, who: Who) -> dict[str, Any]:
        """The rights of one identity as the cloud's own document: an IAM policy, custom roles with bindings, role definitions. Of any
        length: handover.py makes pieces of it that fit."""


def room(cloud: str) -> Room:
    """The grants of a cloud."""
    return cast(Room, importlib.import_module(f"infra.{cloud}.grants"))
