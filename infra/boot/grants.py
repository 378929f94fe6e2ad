"""What the boot script asks of the identity of its machine, for the components that grant it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Actions on resources. Braces name what the caller fills in: `{stack}`, `{region}`, `{account}`, `{group}`, `{work}`.

    Args:
        actions: exact names, never a wildcard.
        resource: ARN pattern on AWS, the level of the binding on Google, the scope on Azure.
        condition: on AWS operator -> key -> value; on Google `{"expression": CEL}`; empty where the cloud offers none.
        why: what the action is for.
        source: the provider's page that names action and condition.
    """

    actions: tuple[str, ...]
    resource: str
    why: str
    source: str
    condition: dict[str, dict[str, str]] = field(default_factory=dict)


ACTIONS: dict[Literal["aws", "gcp", "azure"], tuple[Grant, ...]] = {"aws": (), "gcp": (), "azure": ()}
