"""Target aks on its ground."""

from __future__ import annotations

import pulumi

from infra.azure.cluster import Cluster, ClusterArgs  # type: ignore[import-untyped, unused-ignore]
from infra.azure.ground import Ground
from infra.promise import Made


def build(ground: Ground) -> tuple[Made, list[pulumi.Resource]]:
    """Declare it; what rights may be on, second."""
    cluster = Cluster("cluster", ClusterArgs(ground=ground), ground.opts)
    return cluster.made, [cluster]
