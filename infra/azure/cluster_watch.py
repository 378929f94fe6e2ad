"""What an AKS cluster writes down: output of the containers of the stack's namespace, and what is asked of the API server."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.monitoring import Metric
from infra.component import Component
from infra.context import Context

STREAMS = ["Microsoft-ContainerLogV2", "Microsoft-KubeEvents", "Microsoft-KubePodInventory"]
CONTROL_PLANE = ("kube-audit-admin", "guard")
"""Who changed what, and who was let in; reading is not written down."""
_CLUSTERS = "Microsoft.ContainerService/managedClusters"


@dataclass(frozen=True, kw_only=True)
class RecordsArgs:
    """
    Args:
        group: name of the resource group.
        cluster: resource id.
        logs: resource id of the Log Analytics workspace.
    """

    context: Context
    group: pulumi.Input[str]
    cluster: pulumi.Input[str]
    logs: pulumi.Input[str]


class Records(Component):
    """Says what the cluster's monitoring agent collects: output, events and states of pods of the stack's namespace, by the agent's own
    identity. Each GB costs about 2.8 USD; metrics of every container would cost more than they tell.

    https://learn.microsoft.com/azure/azure-monitor/containers/kubernetes-monitoring-enable
    """

    def __init__(self, name: str, args: RecordsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        rule = self._rule(name, args)
        # The agent looks for an association of this name.
        azure.monitor.DataCollectionRuleAssociation(
            f"{name}-collected",
            association_name="ContainerInsightsExtension",
            resource_uri=args.cluster,
            data_collection_rule_id=rule.id,
            opts=self.child(),
        )
        azure.monitor.DiagnosticSetting(
            f"{name}-asked",
            name="skylift",
            resource_uri=args.cluster,
            workspace_id=args.logs,
            log_analytics_destination_type="Dedicated",
            logs=[azure.monitor.DiagnosticsLogSettingsArgs(category=one, enabled=True) for one in CONTROL_PLANE],
            opts=self.child(),
        )
        self.register_outputs({"rule": rule.id})

    def _rule(self, name: str, args: RecordsArgs) -> azure.monitor.DataCollectionRule:
        settings = {
            "interval": "1m",
            "namespaceFilteringMode": "Include",
            "namespaces": [self.context.settings.cluster.namespace],
            "enableContainerLogV2": True,
        }
        source = azure.monitor.ExtensionDataSourceArgs(
            name="ContainerInsightsExtension",
            extension_name="ContainerInsights",
            streams=STREAMS,
            extension_settings={"dataCollectionSettings": settings},
        )
        target = azure.monitor.LogAnalyticsDestinationArgs(name="logs", workspace_resource_id=args.logs)
        return azure.monitor.DataCollectionRule(
            f"{name}-rule",
            resource_group_name=args.group,
            data_collection_rule_name=self.context.name("containers", most=64),
            kind="Linux",
            data_sources=azure.monitor.DataCollectionRuleDataSourcesArgs(extensions=[source]),
            destinations=azure.monitor.DataCollectionRuleDestinationsArgs(log_analytics=[target]),
            data_flows=[azure.monitor.DataFlowArgs(streams=STREAMS, destinations=["logs"])],
            tags=self.context.tags,
            opts=self.child(),
        )


def agent(logs: pulumi.Input[str]) -> azure.containerservice.ManagedClusterAddonProfileArgs:
    """The monitoring agent, which signs in by itself. What it collects is said by Records."""
    config: dict[str, pulumi.Input[str]] = {"logAnalyticsWorkspaceResourceID": logs, "useAADAuth": "true"}
    return azure.containerservice.ManagedClusterAddonProfileArgs(enabled=True, config=config)


def alarms(context: Context, cluster: pulumi.Input[str]) -> dict[str, Metric]:
    """AKS counts pods by their phase for nothing: https://learn.microsoft.com/azure/aks/monitor-aks-reference. It sees no requests:
    alarms on errors and latency of endpoints are made of what replicas write (written.py).

    Args:
        cluster: resource id.
    """
    failed = Metric(
        scope=cluster,
        namespace=_CLUSTERS,
        name="kube_pod_status_phase",
        above=0,
        where={"phase": "Failed", "namespace": context.settings.cluster.namespace},
        says="a pod failed; `skylift runs` lists the runs, `skylift status` the endpoints",
    )
    return {"failed-pods": failed}
