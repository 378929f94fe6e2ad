"""Alarms of endpoints, in the words of CloudWatch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws

from infra.aws.monitoring import Monitoring
from infra.component import Component

ERRORS_PERCENT = 5.0
IDLE_HOURS = 3


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of one thing.

    Args:
        statistic: Average, Sum, … or a percentile such as p95.
    """

    namespace: str
    name: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str = "Sum"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When an alarm rings.

    Args:
        per: with it the metric's share of this one is judged [%].
        missing: what no data means: `breaching` where silence is the trouble.
        period: of one look [s]; `looks` of them in a row must agree.
    """

    what: str
    metric: Metric
    above: float | None = None
    below: float | None = None
    per: Metric | None = None
    period: int = 60
    looks: int = 5
    missing: Literal["notBreaching", "breaching", "ignore"] = "notBreaching"


def alarm(parent: Component, name: str, rule: Rule, monitoring: Monitoring) -> aws.cloudwatch.MetricAlarm:
    """One alarm, about 0.10 USD a month."""
    assert (rule.above is None) != (rule.below is None)
    is_above = rule.above is not None
    common = aws.cloudwatch.MetricAlarmArgs(
        alarm_description=f"Skylift stack {parent.context.stack}: {rule.what}",
        comparison_operator="GreaterThanThreshold" if is_above else "LessThanThreshold",
        threshold=rule.above if is_above else rule.below,
        evaluation_periods=rule.looks,
        treat_missing_data=rule.missing,
        alarm_actions=monitoring.actions,
        ok_actions=monitoring.actions,
    )
    if rule.per is not None:
        common.metric_queries = _share(rule, rule.per)
    else:
        metric = rule.metric
        common.namespace, common.metric_name, common.period = metric.namespace, metric.name, rule.period
        common.dimensions = dict(metric.dimensions)
        if metric.statistic.startswith("p"):
            common.extended_statistic = metric.statistic
        else:
            common.statistic = metric.statistic
    return aws.cloudwatch.MetricAlarm(name, common, opts=parent.child())


def _share(rule: Rule, whole: Metric) -> list[aws.cloudwatch.MetricAlarmMetricQueryArgs]:
    def query(label: str, metric: Metric) -> aws.cloudwatch.MetricAlarmMetricQueryArgs:
        return aws.cloudwatch.MetricAlarmMetricQueryArgs(
            id=label,
            return_data=False,
            metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                namespace=metric.namespace,
                metric_name=metric.name,
                dimensions=dict(metric.dimensions),
                period=rule.period,
                stat=metric.statistic,
            ),
        )

    share = aws.cloudwatch.MetricAlarmMetricQueryArgs(
        id="share", expression="100 * part / whole", label=rule.what, return_data=True
    )
    return [query("part", rule.metric), query("whole", whole), share]
