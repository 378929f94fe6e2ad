"""Where logs go, and who hears of trouble."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.component import Component
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class LogsArgs:
    """Args:
    group: name of the resource group.
    """

    context: Context
    group: pulumi.Input[str]


class Logs(Component):
    """A Log Analytics workspace that keeps what `skylift:retention.logs_days` says (30 days are the least and are free; each
    GB that comes in costs about 2.8 USD, at most 5 GB a day are taken), and a group of e-mail addresses for alarms.

    Attributes:
        workspace: resource id.
        group: resource id of the action group; None without addresses.
    """

    def __init__(self, name: str, args: LogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        context = args.context
        self.workspace = azure.operationalinsights.Workspace(
            f"{name}-workspace",
            resource_group_name=args.group,
            workspace_name=context.name("logs", most=63),
            sku=azure.operationalinsights.WorkspaceSkuArgs(name="PerGB2018"),
            retention_in_days=max(context.settings.retention.logs_days, 30),
            workspace_capping=azure.operationalinsights.WorkspaceCappingArgs(daily_quota_gb=5),
            features=azure.operationalinsights.WorkspaceFeaturesArgs(disable_local_auth=True),
            tags=context.tags,
            opts=self.child(),
        ).id
        self.group = self._group(name, args) if context.settings.alerts.emails else None
        self.register_outputs({"workspace": self.workspace})

    def _group(self, name: str, args: LogsArgs) -> pulumi.Output[str]:
        emails = self.context.settings.alerts.emails
        return azure.monitor.ActionGroup(
            f"{name}-people",
            resource_group_name=args.group,
            action_group_name=self.context.name("people", most=260),
            group_short_name="skylift",
            location="Global",
            enabled=True,
            email_receivers=[
                azure.monitor.MicrosoftCommonEmailReceiverArgs(
                    name=f"email-{at}", email_address=email, use_common_alert_schema=True
                )
                for at, email in enumerate(emails)
            ],
            tags=self.context.tags,
            opts=self.child(),
        ).id
