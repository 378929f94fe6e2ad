"""What `up`, `refresh` and `down` themselves ask for. Filled from the resource types of each target."""

from __future__ import annotations

from collections.abc import Iterator

from infra.aws.names import Names
from infra.grants import Grant


def up(names: Names) -> Iterator[Grant]:
    """Rights of who runs `skylift up`."""
    yield Grant(
        who="up",
        what="know the account",
        actions=("sts:GetCallerIdentity",),
        on=("*",),
        wide="the action takes no resource",
    )
