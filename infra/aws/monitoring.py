"""Who hears of trouble, where logs go, and what the stack may cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.names import Names
from infra.component import Component
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """`key`: ARN of the stack's own key; None where it has none."""

    context: Context
    key: pulumi.Input[str] | None = None


class Monitoring(Component):
    """A log group for containers with an end to what it keeps (AWS-LOG-02), a topic with the addresses of `alerts.emails`, an event rule
    for failed runs, and a budget over what carries the stack's tag. Without addresses alarms still show in the console. Each alarm costs
    0.10 USD a month beyond the account's first ten; each address must confirm its subscription once. What is mailed names stacks,
    endpoints and runs and holds no data, so that the topic needs no key.

    The budget sees costs by the tag `skylift-stack` only after somebody has activated it as a cost allocation tag of the account:
    https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/activating-tags.html

    Attributes:
        topic: ARN; None without addresses.
        logs: name of the log group for containers; None where the service or the cluster has its own.
    """

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._names, self.key = name, Names(args.context), args.key
        settings = args.context.settings
        self.logs: pulumi.Output[str] | None = None
        if settings.kind == "vm":
            self.logs = self.log_group(f"{name}-logs", self._names.log_group, parent=self).name
        self.topic: pulumi.Output[str] | None = self._topic() if settings.alerts.emails else None
        if self.topic is not None:
            self._failed_runs(self.topic)
        if settings.budget.monthly is not None:
            self._budget(settings.budget.monthly)
        self.register_outputs({"topic": self.topic})

    @property
    def actions(self) -> list[pulumi.Input[str]]:
        """What an alarm does."""
        return [] if self.topic is None else [self.topic]

    def log_group(self, name: str, path: str, *, parent: Component) -> aws.cloudwatch.LogGroup:
        """A group that a service would otherwise make by itself, to keep everything for ever."""
        return aws.cloudwatch.LogGroup(
            name,
            name=path,
            retention_in_days=self.context.settings.retention.logs_days,
            kms_key_id=self.key,
            opts=pulumi.ResourceOptions(parent=parent),
        )

    def _topic(self) -> pulumi.Output[str]:
        topic = aws.sns.Topic(f"{self._name}-alerts", opts=self.child())
        for index, email in enumerate(self.context.settings.alerts.emails):
            aws.sns.TopicSubscription(
                f"{self._name}-alerts-{index}", topic=topic.arn, protocol="email", endpoint=email, opts=self.child()
            )
        account = self.context.account
        allowed = aws.sns.TopicPolicy(
            f"{self._name}-alerts-policy",
            arn=topic.arn,
            policy=topic.arn.apply(lambda arn: json.dumps(_publishers(arn, account))),
            opts=self.child(),
        )
        return pulumi.Output.all(topic.arn, allowed.id).apply(lambda known: str(known[0]))

    def _failed_runs(self, topic: pulumi.Output[str]) -> None:
        """SageMaker tells of its jobs. A machine that gives up writes why into work, and writes that object in no other case."""
        kind = self.context.settings.kind
        if kind == "cluster" or (kind == "vm" and not self._names.work.made):
            return
        if kind == "vm":
            aws.s3.BucketNotification(
                f"{self._name}-work-events", bucket=self._names.work.name, eventbridge=True, opts=self.child()
            )
        pattern = failed_jobs(self._names) if kind == "managed" else failed_machines(self._names)
        rule = aws.cloudwatch.EventRule(
            f"{self._name}-failed",
            description=f"Skylift stack {self.context.stack}: a run failed",
            event_pattern=json.dumps(pattern),
            opts=self.child(),
        )
        aws.cloudwatch.EventTarget(f"{self._name}-failed-mail", rule=rule.name, arn=topic, opts=self.child())

    def _budget(self, monthly: float) -> None:
        emails = self.context.settings.alerts.emails
        if not emails:
            pulumi.log.warn(
                "skylift:budget.monthly without skylift:alerts.emails: the budget shows in the console only", self
            )
        marks = [*(("ACTUAL", percent) for percent in (50, 80, 100)), ("FORECASTED", 100)]
        aws.budgets.Budget(
            f"{self._name}-budget",
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=f"{monthly:.2f}",
            limit_unit="USD",
            cost_filters=[
                aws.budgets.BudgetCostFilterArgs(
                    name="TagKeyValue", values=[f"user:skylift-stack${self.context.tags['skylift-stack']}"]
                )
            ],
            notifications=[
                aws.budgets.BudgetNotificationArgs(
                    comparison_operator="GREATER_THAN",
                    threshold=percent,
                    threshold_type="PERCENTAGE",
                    notification_type=kind,
                    subscriber_email_addresses=emails,
                )
                for kind, percent in (marks if emails else [])
            ],
            opts=self.child(),
        )


def failed_jobs(names: Names) -> Mapping[str, Any]:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html"""
    return {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Training Job State Change"],
        "detail": {"TrainingJobStatus": ["Failed"], "TrainingJobName": [{"prefix": names.training_jobs}]},
    }


def failed_machines(names: Names) -> Mapping[str, Any]:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html; infra/boot writes these objects."""
    return {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": {"name": [names.work.name]},
            "object": {"key": [{"wildcard": names.work.key("live/*/boot-*.json")}]},
        },
    }


def _publishers(topic: str, account: str) -> dict[str, Any]:
    """CloudWatch for this account alone. EventBridge in the form that its guide gives for topics, without a condition:
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html"""

    def allowed(service: str) -> dict[str, Any]:
        principal = {"Service": f"{service}.amazonaws.com"}
        return {
            "Sid": service.capitalize(),
            "Effect": "Allow",
            "Principal": principal,
            "Action": "sns:Publish",
            "Resource": topic,
        }

    ours = {"Condition": {"StringEquals": {"aws:SourceAccount": account}}}
    return {"Version": "2012-10-17", "Statement": [allowed("cloudwatch") | ours, allowed("events")]}
