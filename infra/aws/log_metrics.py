"""Metrics of what no service counts, from lines that the stack's own programs write into its logs.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html. Not checked against a cloud.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.alarms import ERRORS_PERCENT, IDLE_HOURS, Metric, Rule
from infra.component import Component
from infra.context import EndpointPlan

REQUESTS = ("count", "errors", "p95_ms")
"""Fields of a replica's summary (serving/supervisor/summary.py) that alarms look at."""
LOOK_SECONDS = 300
"""Replicas write once a minute: five of their lines in one look."""


@dataclass(frozen=True, kw_only=True)
class Lines:
    """JSON lines of one kind in a log group.

    Args:
        group: name of the log group, which must be there.
        pattern: which lines: a condition in CloudWatch's words, without its braces.
        below: where the log agent puts the program's own JSON, such as `log_processed.`.
        by: field that tells apart what is measured; none where all lines are one thing.
    """

    group: pulumi.Input[str]
    pattern: str
    below: str = ""
    by: str | None = None


def measure(parent: Component, name: str, field: str, lines: Lines) -> None:
    """A metric filter; free. The metric costs 0.30 USD a month for each value of `by`, in the hours in which a line came."""
    aws.cloudwatch.LogMetricFilter(
        name,
        log_group_name=lines.group,
        pattern=f"{{ {lines.pattern} }}",
        metric_transformation=aws.cloudwatch.LogMetricFilterMetricTransformationArgs(
            namespace=_namespace(parent),
            name=field,
            value=f"$.{lines.below}{field}",
            dimensions={lines.by: f"$.{lines.below}{lines.by}"} if lines.by else None,
        ),
        opts=parent.child(),
    )


def answers(parent: Component, endpoint: EndpointPlan) -> Iterator[tuple[str, Rule]]:
    """Errors and slowness of an endpoint, where `REQUESTS` are measured by the field `endpoint`. Slow is what is slow on the average of
    replicas and minutes, for the 95th percentile of each is all that they tell."""

    def metric(field: str, statistic: str) -> Metric:
        where = {"endpoint": endpoint.name}
        return Metric(namespace=_namespace(parent), name=field, dimensions=where, statistic=statistic)

    yield (
        f"{endpoint.name}-errors",
        Rule(
            what=f"{endpoint.name} answers with errors",
            metric=metric("errors", "Sum"),
            per=metric("count", "Sum"),
            above=ERRORS_PERCENT,
            period=LOOK_SECONDS,
            looks=1,
        ),
    )
    yield (
        f"{endpoint.name}-slow",
        Rule(
            what=f"{endpoint.name} is slow",
            metric=metric("p95_ms", "Average"),
            above=endpoint.settings.request_seconds * 1000 / 2,
            period=LOOK_SECONDS,
            looks=1,
        ),
    )


def idle_machines(parent: Component) -> Rule:
    """GPUs of a run group that nothing uses, where `idle_minutes` are measured: infra/boot/train.sh. Untried on hardware."""
    return Rule(
        what="a run holds GPUs that do nothing; `skylift runs` lists the runs, `skylift cancel` ends one",
        metric=Metric(namespace=_namespace(parent), name="idle_minutes", dimensions={}, statistic="Maximum"),
        above=IDLE_HOURS * 60 - 1,
        period=LOOK_SECONDS,
        looks=1,
    )


def _namespace(parent: Component) -> str:
    return f"Skylift/{parent.context.base}"
