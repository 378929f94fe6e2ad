"""Alarms and the budget of a stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pulumi
import pulumi_azure_native as azure

from infra.azure.logs import Logs
from infra.component import Component
from infra.context import Context


def this_month() -> str:
    """Where a new budget begins: Azure takes the first of the current month. Later `up`s look past it."""
    return f"{datetime.now(UTC):%Y-%m}-01T00:00:00Z"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One alarm on a metric that Azure measures by itself: it rings `above` or `below` a value, one of the two.

    Args:
        scope: resource id of what is measured.
        namespace: such as `Microsoft.Network/loadBalancers`.
        of: how the values of a window become one.
        window: ISO 8601.
        where: dimension -> value.
        severity: 1 is an error, 2 a warning.
    """

    scope: pulumi.Input[str]
    namespace: str
    name: str
    says: str
    above: float | None = None
    below: float | None = None
    of: str = "Average"
    window: str = "PT15M"
    severity: int = 1
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Query:
    """One alarm on logs: it rings when the query finds something in a quarter of an hour.

    Args:
        by: columns of what it finds; for each combination of their values it rings by itself, and says them.
        severity: 1 is an error, 2 a warning.
    """

    text: str
    says: str
    by: tuple[str, ...] = ()
    severity: int = 1


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    """Args:
    group: name of the resource group.
    group_id: its resource id, which the budget watches.
    metrics, queries: by name.
    """

    context: Context
    group: pulumi.Input[str]
    group_id: pulumi.Input[str]
    logs: Logs
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    queries: Mapping[str, Query] = field(default_factory=dict)


class Alarms(Component):
    """What rings, and the budget. Who hears of it stands in `skylift:alerts.emails`; without addresses alarms are in the portal only.

    About 0.10 USD a month for each metric, 0.50 to 1.50 for each query. The budget belongs to the resource group and is told within a
    day, for Azure knows costs no sooner; it stops nothing.
    """

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        for alarm, metric in args.metrics.items():
            self._metric(alarm, metric)
        for alarm, query in args.queries.items():
            self._query(alarm, query)
        if args.context.settings.budget.monthly is not None:
            self._budget(args.context.settings.budget.monthly)
        self.register_outputs({"alarms": [*args.metrics, *args.queries]})

    def _metric(self, alarm: str, metric: Metric) -> None:
        operator, limit = ("LessThan", metric.below) if metric.above is None else ("GreaterThan", metric.above)
        assert limit is not None
        hears = self._args.logs.group
        azure.monitor.MetricAlert(
            f"{self._name}-{alarm}",
            resource_group_name=self._args.group,
            rule_name=self.context.name(alarm, most=260),
            location="global",
            description=metric.says,
            enabled=True,
            severity=metric.severity,
            scopes=[metric.scope],
            evaluation_frequency="PT1M" if metric.window == "PT5M" else "PT5M",
            window_size=metric.window,
            auto_mitigate=True,
            criteria=azure.monitor.MetricAlertSingleResourceMultipleMetricCriteriaArgs(
                odata_type="Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
                all_of=[
                    azure.monitor.MetricCriteriaArgs(
                        criterion_type="StaticThresholdCriterion",
                        name=alarm,
                        metric_namespace=metric.namespace,
                        metric_name=metric.name,
                        operator=operator,
                        threshold=limit,
                        time_aggregation=metric.of,
                        dimensions=[
                            azure.monitor.MetricDimensionArgs(name=key, operator="Include", values=[value])
                            for key, value in metric.where.items()
                        ],
                    )
                ],
            ),
            actions=[azure.monitor.MetricAlertActionArgs(action_group_id=hears)] if hears is not None else [],
            tags=self.context.tags,
            opts=self.child(),
        )

    def _query(self, alarm: str, query: Query) -> None:
        hears = self._args.logs.group
        condition = azure.monitor.ConditionArgs(
            query=query.text,
            time_aggregation="Count",
            operator="GreaterThan",
            threshold=0,
            dimensions=[azure.monitor.DimensionArgs(name=one, operator="Include", values=["*"]) for one in query.by],
            failing_periods=azure.monitor.ConditionFailingPeriodsArgs(
                min_failing_periods_to_alert=1, number_of_evaluation_periods=1
            ),
        )
        azure.monitor.ScheduledQueryRule(
            f"{self._name}-{alarm}",
            resource_group_name=self._args.group,
            rule_name=self.context.name(alarm, most=260),
            location=self.context.region,
            kind="LogAlert",
            description=query.says,
            enabled=True,
            severity=query.severity,
            scopes=[self._args.logs.workspace],
            evaluation_frequency="PT15M",
            window_size="PT15M",
            auto_mitigate=True,
            # The tables come to be with their first row.
            skip_query_validation=True,
            criteria=azure.monitor.ScheduledQueryRuleCriteriaArgs(all_of=[condition]),
            actions=azure.monitor.ActionsArgs(action_groups=[hears] if hears is not None else []),
            tags=self.context.tags,
            opts=self.child(),
        )

    def _budget(self, monthly: float) -> None:
        emails = self.context.settings.alerts.emails
        steps = [(50, "Actual"), (80, "Actual"), (100, "Actual"), (100, "Forecasted")]
        hears = self._args.logs.group
        azure.consumption.Budget(
            f"{self._name}-budget",
            budget_name=self.context.name(most=63),
            scope=self._args.group_id,
            category="Cost",
            amount=monthly,
            time_grain="Monthly",
            time_period=azure.consumption.BudgetTimePeriodArgs(start_date=this_month()),
            notifications={
                f"{kind.lower()}-{step}": azure.consumption.NotificationArgs(
                    enabled=True,
                    operator="GreaterThanOrEqualTo",
                    threshold=step,
                    threshold_type=kind,
                    contact_emails=emails,
                    contact_roles=["Owner"],
                    contact_groups=[hears] if hears is not None else [],
                )
                for step, kind in steps
            },
            opts=self.child(ignore_changes=["timePeriod"]),
        )
