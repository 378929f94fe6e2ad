"""The shape `cluster`: AKS."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.azure import cluster_network
from infra.azure.cluster_control import Control, ControlArgs
from infra.azure.cluster_nodes import SPOT, Nodes, NodesArgs
from infra.azure.cluster_trust import USE, Trust, TrustArgs
from infra.azure.ground import Ground
from infra.azure.names import Names, api_keys
from infra.component import Component
from infra.kubernetes import nodes, planned
from infra.kubernetes.workloads import AKS_WORKLOAD_IDENTITY, Subject, Workloads, WorkloadsArgs

INTERNAL = {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}
"""https://learn.microsoft.com/azure/aks/internal-lb"""


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    ground: Ground


class Cluster(Component):
    """A cluster of the stack, or a referenced one, with nodes for each pool and endpoint, and what runs in it.

    Pods take on managed identities by tokens of the cluster, with no key. Nodes of pools and endpoints begin at none.

    Attributes:
        made: for promise().
        id: resource id of the cluster.
    """

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.ground.context, opts)
        self._name, self._ground = name, args.ground
        network = self.context.settings.network
        self._prefixes = cluster_network.prefixes(network.id, self) if network.id else [network.cidr]
        control = Control(f"{name}-control", ControlArgs(ground=args.ground, prefixes=self._prefixes), self.child())
        dedicated = [self._nodes(plan, control) for plan in nodes.dedicated(self.context)]
        trust = Trust(f"{name}-trust", TrustArgs(ground=args.ground, issuer=control.issuer), self.child())
        workloads = self._workloads(control, trust, [*control.ready, *dedicated, trust])
        place = {"cluster": control.name, "cluster_resource_group": control.group, "issuer": control.issuer}
        # Pods of a run carry the label of workload identity, and those of a spot variant put up with AKS' taint.
        self.made = planned.made(self.context, workloads, "aks", place, on_spot=[SPOT], more={"labels": USE})
        self.id = control.id
        self.register_outputs({"cluster": control.id, "urls": workloads.urls})

    def _nodes(self, plan: nodes.NodesPlan, control: Control) -> Nodes:
        args = NodesArgs(
            context=self.context, group=control.group, cluster=control.name, subnet=control.subnet, plan=plan
        )
        return Nodes(f"{self._name}-{plan.name}", args, self.child())

    def _workloads(self, control: Control, trust: Trust, after: list[pulumi.Resource]) -> Workloads:
        settings, ground = self.context.settings, self._ground
        quota = planned.quota(self.context)
        args = WorkloadsArgs(
            namespace=settings.cluster.namespace,
            stack=self.context.stack,
            quota=quota,
            metadata=AKS_WORKLOAD_IDENTITY,
            keep=ground.storage.keep,
            work=ground.storage.work,
            tags=self.context.tags,
            service_accounts=trust.accounts,
            launchers=self._subjects("train"),
            callers=self._subjects("predict"),
            endpoints=planned.serving(
                self.context, self._prefixes, lambda name: Names(self.context).secret_url(api_keys(name))
            ),
            serving_image=settings.images.serving,
            device_plugin=quota.gpus > 0,
            internal_load_balancer_annotations=INTERNAL,
        )
        opts = pulumi.ResourceOptions(parent=self, provider=control.kubernetes, depends_on=after)
        return Workloads(f"{self._name}-workloads", args, opts)

    def _subjects(self, access: str) -> list[Subject]:
        """Persons of `access` inside of the cluster: groups and service principals by object id. Members of the tenant AKS calls by
        their sign-in name, which an object id does not tell: https://learn.microsoft.com/azure/aks/azure-ad-rbac"""
        named: list[str] = getattr(self.context.settings.access, access)
        alone = [one for one in named if not one.startswith(("group:", "sp:"))]
        if alone:
            pulumi.log.warn(
                f"skylift:access.{access}: AKS knows {', '.join(alone)} by sign-in name and not by object id; put them into a group and "
                "name it, `group:OBJECT-ID`, so that they may also do this inside of the cluster",
                self,
            )
        pairs = [one.rpartition(":") for one in named]
        return [Subject(kind="Group" if kind == "group" else "User", name=id_) for kind, _, id_ in pairs]
