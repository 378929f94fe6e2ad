"""Alarms of an EKS cluster, from what Container Insights counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pulumi

from infra.aws.alarms import IDLE_HOURS, Metric, Rule, alarm
from infra.aws.log_metrics import REQUESTS, Lines, answers, measure
from infra.aws.platform import Platform
from infra.component import Component
from infra.context import EndpointPlan

# The log agent puts a line that is JSON below log_processed, and where it comes from below kubernetes: Merge_Log_Key of
# https://github.com/aws-observability/helm-charts, charts/amazon-cloudwatch-observability/values.yaml.
NAMESPACE = "ContainerInsights"
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Container-Insights-metrics-enhanced-EKS.html"""


@dataclass(frozen=True, kw_only=True)
class WatchArgs:
    """
    Args:
        cluster: its name.
        logs: name of the log group of the pods; None where the cluster is not the stack's, whose logs may be anywhere.
    """

    platform: Platform
    cluster: pulumi.Input[str]
    logs: pulumi.Input[str] | None


class Watch(Component):
    """Rings for an endpoint that answers with errors or slowly, or has fewer replicas than it should, a node that failed, pods that
    failed, and GPUs that nothing uses. The service counts no answers of pods: those alarms are made of what the replicas write into
    their logs once a minute, in a cluster of the stack's own.

    Made where `alerts.emails` names somebody to hear it, for the metrics behind it are billed by observation:
    https://aws.amazon.com/cloudwatch/pricing/ (Container Insights with enhanced observability).
    """

    def __init__(self, name: str, args: WatchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.platform.context, opts)
        self._args = args
        rules = dict(self._rules())
        if args.logs is not None and any(self._serving()):
            namespace = self.context.settings.cluster.namespace
            lines = Lines(
                group=args.logs,
                pattern=f'$.log_processed.event = "requests" && $.kubernetes.namespace_name = "{namespace}"',
                below="log_processed.",
                by="endpoint",
            )
            for field in REQUESTS:
                measure(self, f"{name}-requests-{field}", field, lines)
        for kind, rule in rules.items():
            alarm(self, f"{name}-{kind}", rule, args.platform.monitoring)
        self.register_outputs({"alarms": list(rules)})

    def _serving(self) -> Iterable[EndpointPlan]:
        return self.context.endpoints.values() if self.context.settings.images.serving else ()

    def _rules(self) -> Iterator[tuple[str, Rule]]:
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
        for plan in self._serving():
            if self._args.logs is not None:
                yield from answers(self, plan)
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
