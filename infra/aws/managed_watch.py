"""Alarms of an endpoint of SageMaker."""

from __future__ import annotations

import pulumi_aws as aws

from infra.aws.alarms import ERRORS_PERCENT, Metric, Rule, alarm
from infra.aws.monitoring import Monitoring
from infra.aws.names import Names
from infra.component import Component
from infra.context import EndpointPlan

VARIANT = "all"
"""The service's own variants are not used: the server splits traffic itself, the same way on every target."""
IDLE_PERCENT = 5.0


def watch(
    parent: Component, name: str, endpoint: EndpointPlan, monitoring: Monitoring
) -> list[aws.cloudwatch.MetricAlarm]:
    """Errors, latency and, with GPUs, idleness: https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html

    Returns:
        The alarms that take an update back.
    """
    where = {"EndpointName": Names(parent.context).endpoint(endpoint.name), "VariantName": VARIANT}

    def metric(called: str, statistic: str = "Sum", namespace: str = "AWS/SageMaker") -> Metric:
        return Metric(namespace=namespace, name=called, dimensions=where, statistic=statistic)

    rules = {
        "errors": Rule(
            what=f"{endpoint.name} answers with errors",
            metric=metric("Invocation5XXErrors"),
            per=metric("Invocations"),
            above=ERRORS_PERCENT,
        ),
        "slow": Rule(
            what=f"{endpoint.name} is slow",
            metric=metric("ModelLatency", "p95"),
            above=endpoint.settings.request_seconds * 1e6 / 2,  # the service counts microseconds
        ),
    }
    if endpoint.shape.count:
        idle = metric("GPUUtilization", "Average", "/aws/sagemaker/Endpoints")
        what = f"{endpoint.name} pays for GPUs that do next to nothing"
        rules["idle"] = Rule(what=what, metric=idle, below=IDLE_PERCENT, period=3600, looks=1)
    made = {kind: alarm(parent, f"{name}-{kind}", rule, monitoring) for kind, rule in rules.items()}
    return [made["errors"], made["slow"]]
