"""The nodes of a GKE cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context
from infra.kubernetes.nodes import NodesPlan
from skylift.catalog import Shape


@dataclass(frozen=True, kw_only=True)
class NodesArgs:
    """
    Args:
        cluster: name or id of the cluster.
        account: e-mail of the nodes' service account.
        zones: that sell the machine, for nodes that the settings want in none; empty for all of the cluster's.
    """

    context: Context
    cluster: pulumi.Input[str]
    account: pulumi.Input[str]
    plan: NodesPlan
    zones: Sequence[str] = ()


class Nodes(Component):
    """A node pool of private, shielded nodes that show pods no identity but the pods' own (GCP-GKE-03). GPU nodes get driver and device
    plugin from GKE itself (not tried on hardware). How many there are belongs to GKE's autoscaler; at none they cost nothing.

    Attributes:
        pool: the node pool.
    """

    def __init__(self, name: str, args: NodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        plan = args.plan
        self.pool = gcp.container.NodePool(
            f"{name}-nodes",
            cluster=args.cluster,
            location=args.context.region,
            node_locations=list(plan.zones or args.zones) or None,
            initial_node_count=0 if plan.least == 0 else 1,
            autoscaling=gcp.container.NodePoolAutoscalingArgs(
                total_min_node_count=plan.least,
                total_max_node_count=plan.most,
                location_policy="ANY" if plan.spot else "BALANCED",
            ),
            management=gcp.container.NodePoolManagementArgs(auto_repair=True, auto_upgrade=True),
            upgrade_settings=gcp.container.NodePoolUpgradeSettingsArgs(max_surge=1, max_unavailable=0),
            node_config=_node(args),
            # The number of the first moment; later ones are the autoscaler's.
            opts=self.child(ignore_changes=["initialNodeCount", "nodeCount"]),
        )
        self.register_outputs({"pool": self.pool.name})


def _node(args: NodesArgs) -> gcp.container.NodePoolNodeConfigArgs:
    plan = args.plan
    taint = gcp.container.NodePoolNodeConfigTaintArgs
    taints = [taint(key=plan.taint[0], value=plan.taint[1], effect="NO_SCHEDULE")] if plan.taint else []
    return gcp.container.NodePoolNodeConfigArgs(
        machine_type=plan.machines[0],
        guest_accelerators=_accelerators(plan.shape),
        spot=plan.spot,
        disk_size_gb=plan.disk_gib,
        disk_type="pd-balanced",
        image_type="COS_CONTAINERD",
        service_account=args.account,
        oauth_scopes=["https://www.googleapis.com/auth/cloud-platform"],
        workload_metadata_config=gcp.container.NodePoolNodeConfigWorkloadMetadataConfigArgs(mode="GKE_METADATA"),
        shielded_instance_config=gcp.container.NodePoolNodeConfigShieldedInstanceConfigArgs(
            enable_secure_boot=True, enable_integrity_monitoring=True
        ),
        gcfs_config=gcp.container.NodePoolNodeConfigGcfsConfigArgs(enabled=True),
        gvnic=gcp.container.NodePoolNodeConfigGvnicArgs(enabled=True),
        metadata={"disable-legacy-endpoints": "true"},
        labels=dict(plan.labels),
        resource_labels=dict(args.context.tags),
        taints=taints,
    )


def _accelerators(shape: Shape | None) -> list[gcp.container.NodePoolNodeConfigGuestAcceleratorArgs] | None:
    """GKE wants them declared for every machine type, also for those that bring their own."""
    if shape is None or shape.count == 0:
        return None
    driver = gcp.container.NodePoolNodeConfigGuestAcceleratorGpuDriverInstallationConfigArgs(
        gpu_driver_version="LATEST"
    )
    return [
        gcp.container.NodePoolNodeConfigGuestAcceleratorArgs(
            type=shape.gce_accelerator, count=shape.count, gpu_driver_installation_config=driver
        )
    ]
