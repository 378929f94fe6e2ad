"""The function that removes run groups past their end."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra import reaper
from infra.aws.alarms import Metric, Rule, alarm
from infra.aws.names import Names
from infra.aws.platform import Platform
from infra.component import Component

EVERY_MINUTES = 5
TIMEOUT_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class ReaperArgs:
    platform: Platform


class Reaper(Component):
    """A Lambda function that looks every five minutes, within the free tier; it may delete Auto Scaling groups that carry the stack's tag
    and nothing else. An event rule calls it: EventBridge Scheduler would want a role more. The alarm rings when it fails, and also when
    it is silent.
    """

    def __init__(self, name: str, args: ReaperArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        platform = args.platform
        super().__init__(name, platform.context, opts)
        function = self._function(name, platform)
        rule = aws.cloudwatch.EventRule(
            f"{name}-clock",
            description=f"Skylift stack {self.context.stack}: look for run groups past their end",
            schedule_expression=f"rate({EVERY_MINUTES} minutes)",
            opts=self.child(),
        )
        aws.lambda_.Permission(
            f"{name}-called",
            function=function.name,
            action="lambda:InvokeFunction",
            principal="events.amazonaws.com",
            source_arn=rule.arn,
            opts=self.child(),
        )
        aws.cloudwatch.EventTarget(f"{name}-call", rule=rule.name, arn=function.arn, opts=self.child())
        failing = Rule(
            what="the reaper fails or is silent: machines may outlive their runs",
            metric=Metric(namespace="AWS/Lambda", name="Errors", dimensions={"FunctionName": function.name}),
            above=0,
            period=900,
            looks=2,
            missing="breaching",
        )
        alarm(self, f"{name}-failing", failing, platform.monitoring)
        self.register_outputs({"function": function.arn})

    def _function(self, name: str, platform: Platform) -> aws.lambda_.Function:
        names = Names(self.context)
        logs = platform.monitoring.log_group(f"{name}-logs", f"/aws/lambda/{names.reaper}", parent=self)
        files = reaper.files("aws")
        known = {"SKYLIFT_STACK": self.context.tags["skylift-stack"]}
        return aws.lambda_.Function(
            f"{name}-function",
            name=names.reaper,
            description=f"Skylift stack {self.context.stack}: removes run groups past their end",
            role=platform.identity.arns["reaper"],
            runtime=reaper.RUNTIME["aws"],
            handler=reaper.ENTRY["aws"],
            code=pulumi.AssetArchive({path: pulumi.StringAsset(text) for path, text in files.items()}),
            timeout=TIMEOUT_SECONDS,
            memory_size=128,
            environment=aws.lambda_.FunctionEnvironmentArgs(
                variables={key: known[key] for key in reaper.ENVIRONMENT["aws"]}
            ),
            opts=self.child(depends_on=[logs]),
        )
