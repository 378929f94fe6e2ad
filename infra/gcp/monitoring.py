"""Logs, alarms and the budget of a stack."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context
from infra.gcp import answers, names, signals

_BUDGET_AT = (0.5, 0.8, 1.0)
_QUIET_S = 1800
"""Between two mails of one alarm that looks at log lines."""


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """
    Args:
        number: the project's number.
    """

    context: Context
    number: str


class Monitoring(Component):
    """A log bucket of the stack's own with its retention, the alarms of signals.py, mails, and a budget.

    The stack's logs are copied into its bucket; the project's own `_Default` bucket has them too, for a stack does not change what
    belongs to the project. Logs cost 0.50 USD a GiB beyond 50 GiB a month, kept for 30 days; alarms 0.10 USD a condition a month by
    Google's list of 2025. A deleted log bucket's name is free again after seven days.

    Attributes:
        channels: whom alarms tell.
    """

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        self._logs()
        if answers.serving(args.context):
            for field in answers.FIELDS:
                self._measure(field)
        self.channels = [self._channel(at, address) for at, address in enumerate(args.context.settings.alerts.emails)]
        for signal in signals.signals(args.context):
            self._alarm(signal)
        self._budget()
        self.register_outputs({"channels": self.channels, "logs": names.log_bucket(args.context)})

    def _logs(self) -> None:
        context = self.context
        bucket = gcp.logging.ProjectBucketConfig(
            f"{self._name}-logs",
            project=context.account,
            location=context.region,
            bucket_id=names.log_bucket(context),
            description=f"Skylift {context.stack}",
            retention_days=context.settings.retention.logs_days,
            opts=self.child(),
        )
        gcp.logging.ProjectSink(
            f"{self._name}-sink",
            project=context.account,
            destination=pulumi.Output.concat("logging.googleapis.com/", bucket.id),
            filter=signals.log_filter(context),
            description=f"Logs of the Skylift stack {context.stack}, and who wrote to models/ and endpoints/",
            unique_writer_identity=True,
            opts=self.child(),
        )

    def _measure(self, field: str) -> None:
        """A field of what replicas write, by endpoint. Billed by what is counted, of which the first 150 MiB a month are free."""
        label = gcp.logging.MetricMetricDescriptorLabelArgs(key="endpoint", value_type="STRING")
        gcp.logging.Metric(
            f"{self._name}-{field.replace('_', '-')}",
            project=self.context.account,
            name=answers.metric(self.context, field),
            description=f"Skylift {self.context.stack}: {field} of a replica's minute",
            filter=answers.lines(self.context),
            value_extractor=f"EXTRACT(jsonPayload.{field})",
            label_extractors={"endpoint": "EXTRACT(jsonPayload.endpoint)"},
            metric_descriptor=gcp.logging.MetricMetricDescriptorArgs(
                metric_kind="DELTA", value_type="DISTRIBUTION", unit="1", labels=[label]
            ),
            opts=self.child(),
        )

    def _channel(self, at: int, address: str) -> pulumi.Output[str]:
        return gcp.monitoring.NotificationChannel(
            f"{self._name}-mail-{at}",
            type="email",
            display_name=f"Skylift {self.context.stack}: {address}",
            labels={"email_address": address},
            user_labels=self.context.tags,
            opts=self.child(),
        ).name

    def _alarm(self, signal: signals.Signal) -> None:
        limit = gcp.monitoring.AlertPolicyAlertStrategyNotificationRateLimitArgs(period=f"{_QUIET_S}s")
        gcp.monitoring.AlertPolicy(
            f"{self._name}-{signal.name}",
            display_name=f"Skylift {self.context.stack}: {signal.title}",
            combiner="OR",
            severity="ERROR" if signal.urgent else "WARNING",
            conditions=[_condition(signal)],
            notification_channels=self.channels,
            documentation=gcp.monitoring.AlertPolicyDocumentationArgs(content=signal.remedy, mime_type="text/markdown"),
            alert_strategy=gcp.monitoring.AlertPolicyAlertStrategyArgs(
                auto_close="86400s", notification_rate_limit=limit if signal.log else None
            ),
            user_labels=self.context.tags,
            opts=self.child(),
        )

    def _budget(self) -> None:
        """Of what carries the stack's label; some charges of Google carry none. In the currency of the billing account."""
        context = self.context
        budget = context.settings.budget
        if budget.monthly is None:
            return
        if budget.billing_account is None:
            pulumi.log.warn(
                "no budget: on Google it belongs to the billing account. Set skylift:budget.billing_account "
                f"(gcloud billing projects describe {context.account})",
                self,
            )
            return
        rules = gcp.billing.BudgetThresholdRuleArgs
        gcp.billing.Budget(
            f"{self._name}-budget",
            billing_account=budget.billing_account,
            display_name=f"Skylift {context.stack}"[:60],
            amount=gcp.billing.BudgetAmountArgs(
                specified_amount=gcp.billing.BudgetAmountSpecifiedAmountArgs(
                    units=str(int(budget.monthly)), nanos=round(budget.monthly % 1 * 10**9)
                )
            ),
            budget_filter=gcp.billing.BudgetBudgetFilterArgs(
                projects=[f"projects/{self._args.number}"],
                labels={"skylift-stack": context.tags["skylift-stack"]},
                calendar_period="MONTH",
            ),
            threshold_rules=[rules(threshold_percent=part, spend_basis="CURRENT_SPEND") for part in _BUDGET_AT]
            + [rules(threshold_percent=1.0, spend_basis="FORECASTED_SPEND")],
            all_updates_rule=gcp.billing.BudgetAllUpdatesRuleArgs(
                monitoring_notification_channels=self.channels[:5], disable_default_iam_recipients=False
            )
            if self.channels
            else None,
            opts=self.child(),
        )


def _condition(signal: signals.Signal) -> gcp.monitoring.AlertPolicyConditionArgs:
    if signal.query:
        # A metric of log lines is known to alarms only some minutes after it was made: without a look at it, a first `up` succeeds.
        return gcp.monitoring.AlertPolicyConditionArgs(
            display_name=signal.title,
            condition_prometheus_query_language=gcp.monitoring.AlertPolicyConditionConditionPrometheusQueryLanguageArgs(
                query=signal.query, duration="0s", evaluation_interval="60s", disable_metric_validation=True
            ),
        )
    if signal.log:
        return gcp.monitoring.AlertPolicyConditionArgs(
            display_name=signal.title,
            condition_matched_log=gcp.monitoring.AlertPolicyConditionConditionMatchedLogArgs(filter=signal.log),
        )
    whole = gcp.monitoring.AlertPolicyConditionConditionThresholdDenominatorAggregationArgs
    part = gcp.monitoring.AlertPolicyConditionConditionThresholdAggregationArgs
    period = f"{signal.period_s}s"
    return gcp.monitoring.AlertPolicyConditionArgs(
        display_name=signal.title,
        condition_threshold=gcp.monitoring.AlertPolicyConditionConditionThresholdArgs(
            filter=signal.filter,
            comparison=signal.comparison,
            threshold_value=signal.threshold,
            duration=f"{signal.duration_s}s",
            aggregations=[
                part(
                    alignment_period=period,
                    per_series_aligner=signal.aligner,
                    cross_series_reducer=signal.reducer,
                )
            ],
            denominator_filter=signal.of or None,
            denominator_aggregations=[
                whole(alignment_period=period, per_series_aligner=signal.aligner, cross_series_reducer=signal.reducer)
            ]
            if signal.of
            else None,
        ),
    )
