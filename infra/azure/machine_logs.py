"""What machines write down, in the stack's Log Analytics workspace.

The containers' output goes to the unit's journal, journald hands it on to rsyslog (Ubuntu's default, facility `daemon`), and
the Azure Monitor agent sends it:
https://learn.microsoft.com/azure/azure-monitor/vm/data-collection-syslog and
https://learn.microsoft.com/azure/azure-monitor/agents/azure-monitor-agent-manage. Not checked against a cloud.

A rule is bound to a scale set that is there, and that of a run group comes and goes with the run: its machines bind it themselves, at
their first boot (infra/boot/azure.sh). What runs print is in the work bucket (`logs/`), too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_azure_native as azure

from infra.component import Component
from infra.context import Context

STREAM = "Microsoft-Syslog"
PUBLISHER, AGENT, VERSION = "Microsoft.Azure.Monitor", "AzureMonitorLinuxAgent", "1.33"
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
    """Says what the agents of all endpoints and run groups collect: table `Syslog`, kept as long as `skylift:retention.logs_days` says.
    Each GB that comes in costs about 2.8 USD, and counts against the 5 GB a day that the workspace takes.

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
    extension = azure.compute.VirtualMachineScaleSetExtensionArgs(
        name="logs",
        publisher=PUBLISHER,
        type=AGENT,
        type_handler_version=VERSION,
        auto_upgrade_minor_version=True,
        enable_automatic_upgrade=True,
        suppress_failures=True,
        settings=_signs_in_as(identity),
    )
    return azure.compute.VirtualMachineScaleSetExtensionProfileArgs(extensions=[extension])


def agent_body(identity: str) -> dict[str, Any]:
    """The same in a request body."""
    about = {
        "publisher": PUBLISHER,
        "type": AGENT,
        "typeHandlerVersion": VERSION,
        "autoUpgradeMinorVersion": True,
        "enableAutomaticUpgrade": True,
        "suppressFailures": True,
        "settings": _signs_in_as(identity),
    }
    return {"extensions": [{"name": "logs", "properties": about}]}


def _signs_in_as(identity: pulumi.Input[str]) -> dict[str, Any]:
    return {"authentication": {"managedIdentity": {"identifier-name": "mi_res_id", "identifier-value": identity}}}


def collect(name: str, machines: pulumi.Input[str], rule: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
    """Bind the rule to a scale set, by its resource id."""
    azure.monitor.DataCollectionRuleAssociation(
        name, association_name="skylift", resource_uri=machines, data_collection_rule_id=rule, opts=opts
    )
