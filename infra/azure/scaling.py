"""Autoscaling of endpoints by CPU, on machines and on the managed service alike."""

from __future__ import annotations

import pulumi
import pulumi_azure_native as azure

from infra.azure.names import Names
from infra.context import Context, EndpointPlan

CPU = {"vm": "Percentage CPU", "managed": "CpuUtilizationPercentage"}
"""https://learn.microsoft.com/azure/azure-monitor/reference/metrics-index"""


def autoscale(
    name: str,
    context: Context,
    plan: EndpointPlan,
    group: pulumi.Input[str],
    target: pulumi.Output[str],
    opts: pulumi.ResourceOptions,
) -> azure.monitor.AutoscaleSetting:
    """One replica more above the wanted use of the CPUs, one less below half of it; never fewer than the settings say."""
    return azure.monitor.AutoscaleSetting(
        name,
        resource_group_name=group,
        autoscale_setting_name=Names(context).set_name(plan.name),
        name=Names(context).set_name(plan.name),
        enabled=True,
        target_resource_uri=target,
        profiles=[
            azure.monitor.AutoscaleProfileArgs(
                name="cpu",
                capacity=azure.monitor.ScaleCapacityArgs(
                    minimum=str(plan.min_replicas), maximum=str(plan.max_replicas), default=str(plan.min_replicas)
                ),
                rules=[
                    _rule(context, target, "Increase", plan.settings.scale_at_cpu, "PT5M"),
                    _rule(context, target, "Decrease", plan.settings.scale_at_cpu / 2, "PT15M"),
                ],
            )
        ],
        tags=context.tags,
        opts=opts,
    )


def _rule(
    context: Context, target: pulumi.Output[str], direction: str, threshold: float, window: str
) -> azure.monitor.ScaleRuleArgs:
    up = direction == "Increase"
    return azure.monitor.ScaleRuleArgs(
        metric_trigger=azure.monitor.MetricTriggerArgs(
            metric_name=CPU[context.settings.kind],
            metric_resource_uri=target,
            statistic=azure.monitor.MetricStatisticType.AVERAGE,
            time_aggregation=azure.monitor.TimeAggregationType.AVERAGE,
            operator=azure.monitor.ComparisonOperationType.GREATER_THAN
            if up
            else azure.monitor.ComparisonOperationType.LESS_THAN,
            threshold=threshold,
            time_grain="PT1M",
            time_window=window,
        ),
        scale_action=azure.monitor.ScaleActionArgs(
            direction=azure.monitor.ScaleDirection.INCREASE if up else azure.monitor.ScaleDirection.DECREASE,
            type=azure.monitor.ScaleType.CHANGE_COUNT,
            value="1",
            cooldown="PT5M" if up else "PT15M",
        ),
    )
