"""Alarms of an EKS cluster, from what Container Insights counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi

from infra.aws.alarms import IDLE_HOURS, Metric, Rule, alarm
from infra.aws.platform import Platform
from infra.component import Component

NAMESPACE = "ContainerInsights"
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-enhanced-EKS.html"""


@dataclass(frozen=True, kw_only=True)
class WatchArgs:
    """`cluster`: its name."""

    platform: Platform
    cluster: pulumi.Input[str]


class Watch(Component):
    """Rings for an endpoint with fewer replicas than it should have, a node that failed, pods that failed, and GPUs that nothing uses.
    Errors and latency of answers are not among what the service counts for pods; `skylift status` reads them from the replicas.

    Made where `alerts.emails` names somebody to hear it, for the metrics behind it are billed by observation:
    https://aws.amazon.com/cloudwatch/pricing/ (Container Insights with enhanced observability).
    """

    def __init__(self, name: str, args: WatchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.platform.context, opts)
        self._args = args
        rules = dict(self._rules())
        for kind, rule in rules.items():
            alarm(self, f"{name}-{kind}", rule, args.platform.monitoring)
        self.register_outputs({"alarms": list(rules)})

    def _rules(self) -> Iterator[tuple[str, Rule]]:
        settings = self.context.settings
        yield (
            "failed-nodes",
            Rule(what="nodes have failed", metric=self._metric("cluster_failed_node_count", "Maximum"), above=0),
        )
        yield (
            "failed-pods",
            Rule(
                what="a run or a replica has failed",
                metric=self._metric("pod_status_failed", "Maximum"),
                above=0,
                looks=1,
            ),
        )
        if any(shape.count for pool in self.context.pools.values() for shape in pool.shapes):
            idle = self._metric("node_gpu_utilization", "Maximum")
            looks = IDLE_HOURS * 12
            yield "idle-gpu", Rule(what="GPUs are paid for and unused", metric=idle, below=5, period=300, looks=looks)
        for plan in self.context.endpoints.values() if settings.images.serving else ():
            running = self._metric("service_number_of_running_pods", "Minimum", Service=plan.name)
            yield (
                f"{plan.name}-replicas",
                Rule(
                    what=f"endpoint {plan.name} has fewer replicas than it should",
                    metric=running,
                    below=plan.min_replicas,
                    looks=10,
                    missing="breaching",
                ),
            )

    def _metric(self, name: str, statistic: str, **more: str) -> Metric:
        dimensions: dict[str, pulumi.Input[str]] = {"ClusterName": self._args.cluster, **more}
        if more:
            dimensions["Namespace"] = self.context.settings.cluster.namespace
        return Metric(namespace=NAMESPACE, name=name, dimensions=dimensions, statistic=statistic)
