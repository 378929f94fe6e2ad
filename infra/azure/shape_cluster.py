"""Target aks on its ground."""

from __future__ import annotations

import pulumi

from infra.azure import cluster_watch
from infra.azure.cluster import Cluster, ClusterArgs
from infra.azure.ground import Ground
from infra.azure.monitoring import Alarms, AlarmsArgs
from infra.promise import Made


def build(ground: Ground) -> tuple[Made, list[pulumi.Resource]]:
    """Declare it; what rights may be on, second."""
    cluster = Cluster("cluster", ClusterArgs(ground=ground), ground.opts)
    args = AlarmsArgs(
        context=ground.context,
        group=ground.group,
        group_id=ground.group_id,
        logs=ground.logs,
        metrics=cluster_watch.alarms(ground.context, cluster.id),
    )
    Alarms("alarms", args, ground.opts)
    return cluster.made, [cluster]
