"""Target aks on its ground."""

from __future__ import annotations

import pulumi

from infra.azure import cluster_watch, written
from infra.azure.cluster import Cluster, ClusterArgs
from infra.azure.ground import Ground
from infra.azure.monitoring import Alarms, AlarmsArgs
from infra.promise import Made


def build(ground: Ground) -> tuple[Made, list[pulumi.Resource]]:
    """Declare it; what rights may be on, second."""
    cluster = Cluster("cluster", ClusterArgs(ground=ground), ground.opts)
    context, pods = ground.context, written.in_pods(ground.context)
    # Where somebody else's cluster sends what its pods print is not known here.
    own = context.settings.cluster.name is None
    args = AlarmsArgs(
        context=context,
        group=ground.group,
        group_id=ground.group_id,
        logs=ground.logs,
        metrics=cluster_watch.alarms(context, cluster.id),
        queries={**written.answers(context, pods), **written.idle_runs(context, pods)} if own else {},
    )
    Alarms("alarms", args, ground.opts)
    return cluster.made, [cluster]
