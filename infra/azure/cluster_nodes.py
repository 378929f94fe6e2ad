"""The node pools of an AKS cluster: for each pool and endpoint nodes of their own that begin at none."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.names import stable_id
from infra.component import Component
from infra.context import Context
from infra.kubernetes.nodes import NodesPlan
from infra.kubernetes.pods import Toleration

SPOT = Toleration(key="kubernetes.azure.com/scalesetpriority", value="spot")
"""The taint that AKS puts on spot nodes: https://learn.microsoft.com/azure/aks/spot-node-pool"""


@dataclass(frozen=True, kw_only=True)
class NodesArgs:
    """
    Args:
        group: name of the cluster's resource group.
        cluster: its name.
        subnet: resource id.
    """

    context: Context
    group: pulumi.Input[str]
    cluster: pulumi.Input[str]
    subnet: pulumi.Input[str]
    plan: NodesPlan


class Nodes(Component):
    """Nodes without public address or SSH, disks encrypted at their host with Azure's own key. AKS installs the GPUs' driver, not their
    device plugin (not tried on hardware). How many nodes there are belongs to AKS' autoscaler and is ignored by `up`; at none they cost
    nothing. Evicted spot nodes are deleted.

    Attributes:
        pool: the agent pool.
    """

    def __init__(self, name: str, args: NodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        plan = args.plan
        spot = {SPOT.key: str(SPOT.value)} if plan.spot else {}
        taints = [*([plan.taint] if plan.taint else []), *spot.items()]
        self.pool = azure.containerservice.AgentPool(
            f"{name}-nodes",
            resource_group_name=args.group,
            resource_name_=args.cluster,
            agent_pool_name=pool_name(plan),
            mode="User",
            type="VirtualMachineScaleSets",
            vm_size=plan.machines[0],
            os_type="Linux",
            os_sku="Ubuntu",
            os_disk_size_gb=plan.disk_gib,
            vnet_subnet_id=args.subnet,
            availability_zones=list(plan.zones) or None,
            enable_auto_scaling=True,
            min_count=plan.least,
            max_count=plan.most,
            count=plan.least,
            enable_node_public_ip=False,
            enable_encryption_at_host=True,
            gpu_profile=azure.containerservice.GPUProfileArgs(driver="Install") if plan.gpus else None,
            scale_set_priority="Spot" if plan.spot else "Regular",
            scale_set_eviction_policy="Delete" if plan.spot else None,
            spot_max_price=-1.0 if plan.spot else None,  # up to the price on demand
            # AKS adds label and taint of spot nodes by itself; said here too, they are no drift.
            node_labels={**plan.labels, **spot},
            node_taints=[f"{key}={value}:NoSchedule" for key, value in taints],
            tags={**args.context.tags, "skylift-pool": plan.owner},
            # The number of the first moment; later ones are the autoscaler's.
            opts=self.child(ignore_changes=["count"]),
        )
        self.register_outputs({"pool": self.pool.name})


def pool_name(plan: NodesPlan) -> str:
    """Twelve letters and digits, a letter first. What cannot change in place is told by the last five, so that a new pool is there
    before the old one goes."""
    kind = plan.kind[0]
    lasting = (plan.machines[0], str(plan.spot), str(plan.disk_gib), *plan.zones)
    readable = "".join(one for one in plan.owner.lower() if one.isascii() and one.isalnum())
    return f"{kind}{readable[:6]}{stable_id(kind, plan.owner, *lasting)[:5]}"
