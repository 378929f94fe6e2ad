"""What serving machines write down, in the stack's Log Analytics workspace.

The serving container's output goes to the unit's journal, journald hands it on to rsyslog (Ubuntu's default, facility `daemon`), and
the Azure Monitor agent sends it:
https://learn.microsoft.com/azure/azure-monitor/vm/data-collection-syslog and
https://learn.microsoft.com/azure/azure-monitor/agents/azure-monitor-agent-manage. Not checked against a cloud.

Run groups carry no agent: a rule is bound to a scale set that is there, and theirs comes and goes with the run. What runs and their
machines print is in the work bucket (`logs/`, `live/`).
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.component import Component
from infra.context import Context

STREAM = "Microsoft-Syslog"
LEVELS = ("Info", "Notice", "Warning", "Error", "Critical", "Alert", "Emergency")


@dataclass(frozen=True, kw_only=True)
class MachineLogsArgs:
    """Args:
    group: name of the resource group.
    logs: resource id of the Log Analytics workspace.
    """

    context: Context
    group: pulumi.Input[str]
    logs: pulumi.Input[str]


class MachineLogs(Component):
    """Says what the agents of all endpoints collect: table `Syslog`, kept as long as `skylift:retention.logs_days` says. Each GB that
    comes in costs about 2.8 USD, and counts against the 5 GB a day that the workspace takes.

    Attributes:
        rule: resource id of the data collection rule.
    """

    def __init__(self, name: str, args: MachineLogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        source = azure.monitor.SyslogDataSourceArgs(
            name="journal", facility_names=["daemon"], log_levels=list(LEVELS), streams=[STREAM]
        )
        target = azure.monitor.LogAnalyticsDestinationArgs(name="logs", workspace_resource_id=args.logs)
        self.rule = azure.monitor.DataCollectionRule(
            f"{name}-rule",
            resource_group_name=args.group,
            data_collection_rule_name=args.context.name("machines", most=64),
            kind="Linux",
            data_sources=azure.monitor.DataCollectionRuleDataSourcesArgs(syslog=[source]),
            destinations=azure.monitor.DataCollectionRuleDestinationsArgs(log_analytics=[target]),
            data_flows=[azure.monitor.DataFlowArgs(streams=[STREAM], destinations=["logs"])],
            tags=args.context.tags,
            opts=self.child(),
        ).id
        self.register_outputs({"rule": self.rule})


def agent(identity: pulumi.Input[str]) -> azure.compute.VirtualMachineScaleSetExtensionProfileArgs:
    """The agent of a scale set. A machine whose agent does not come up serves all the same.

    Args:
        identity: resource id of the machine's own, by which the agent signs in; it needs no role for that.
    """
    chosen = {"identifier-name": "mi_res_id", "identifier-value": identity}
    extension = azure.compute.VirtualMachineScaleSetExtensionArgs(
        name="logs",
        publisher="Microsoft.Azure.Monitor",
        type="AzureMonitorLinuxAgent",
        type_handler_version="1.33",
        auto_upgrade_minor_version=True,
        enable_automatic_upgrade=True,
        suppress_failures=True,
        settings={"authentication": {"managedIdentity": chosen}},
    )
    return azure.compute.VirtualMachineScaleSetExtensionProfileArgs(extensions=[extension])


def collect(name: str, machines: pulumi.Input[str], rule: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
    """Bind the rule to a scale set, by its resource id."""
    azure.monitor.DataCollectionRuleAssociation(
        name, association_name="skylift", resource_uri=machines, data_collection_rule_id=rule, opts=opts
    )
