"""The node pools of an AKS cluster: for each pool and endpoint nodes of their own that begin at none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_azure_native as azure

from infra.azure.names import stable_id
from infra.component import Component
from infra.context import Context
from infra.kubernetes.pods import Toleration

SPOT = Toleration(key="kubernetes.azure.com/scalesetpriority", value="spot")
"""The taint that AKS puts on spot nodes: https://learn.microsoft.com/azure/aks/spot-node-pool"""


@dataclass(frozen=True, kw_only=True)
class NodesArgs:
    """One pool of nodes.

    Args:
        group: name of the cluster's resource group.
        cluster: its name.
        kind, owner: what the nodes are for: `p` a pool, `s` an endpoint, and its name.
        gpus: of one node.
        zones: where they may stand; empty for anywhere in the region.
        subnet: resource id.
        taint: key and value, effect NoSchedule.
    """

    context: Context
    group: pulumi.Input[str]
    cluster: pulumi.Input[str]
    kind: str
    owner: str
    machine: str
    most: int
    gpus: int
    disk_gib: int
    taint: tuple[str, str]
    subnet: pulumi.Input[str]
    spot: bool = False
    zones: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


class Nodes(Component):
    """Nodes without public address or SSH, disks encrypted at their host with Azure's own key. AKS installs the GPUs' driver, not their
    device plugin (not tried on hardware). How many nodes there are belongs to AKS' autoscaler and is ignored by `up`; at none they cost
    nothing. Evicted spot nodes are deleted.

    Attributes:
        pool: the agent pool.
    """

    def __init__(self, name: str, args: NodesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        taints = [args.taint, *([(SPOT.key, str(SPOT.value))] if args.spot else [])]
        self.pool = azure.containerservice.AgentPool(
            f"{name}-nodes",
            resource_group_name=args.group,
            resource_name_=args.cluster,
            agent_pool_name=pool_name(args),
            mode="User",
            type="VirtualMachineScaleSets",
            vm_size=args.machine,
            os_type="Linux",
            os_sku="Ubuntu",
            os_disk_size_gb=args.disk_gib,
            vnet_subnet_id=args.subnet,
            availability_zones=list(args.zones) or None,
            enable_auto_scaling=True,
            min_count=0,
            max_count=args.most,
            count=0,
            enable_node_public_ip=False,
            enable_encryption_at_host=True,
            gpu_profile=azure.containerservice.GPUProfileArgs(driver="Install") if args.gpus else None,
            scale_set_priority="Spot" if args.spot else "Regular",
            scale_set_eviction_policy="Delete" if args.spot else None,
            spot_max_price=-1.0 if args.spot else None,  # up to the price on demand
            # AKS adds label and taint of spot nodes by itself; said here too, they are no drift.
            node_labels={**args.labels, **({SPOT.key: str(SPOT.value)} if args.spot else {})},
            node_taints=[f"{key}={value}:NoSchedule" for key, value in taints],
            tags={**args.context.tags, "skylift-pool": args.owner},
            # The number of the first moment; later ones are the autoscaler's.
            opts=self.child(ignore_changes=["count"]),
        )
        self.register_outputs({"pool": self.pool.name})


def pool_name(args: NodesArgs) -> str:
    """Twelve letters and digits, a letter first. What cannot change in place is told by the last five, so that a new pool is there
    before the old one goes."""
    lasting = (args.machine, str(args.spot), str(args.disk_gib), *args.zones)
    readable = "".join(one for one in args.owner.lower() if one.isascii() and one.isalnum())
    return f"{args.kind}{readable[:6]}{stable_id(args.kind, args.owner, *lasting)[:5]}"
