"""The shape `cluster`: AKS."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.azure import cluster_network
from infra.azure.cluster_control import Control, ControlArgs
from infra.azure.cluster_nodes import SPOT, Nodes, NodesArgs
from infra.azure.cluster_trust import USE, Trust, TrustArgs
from infra.azure.ground import Ground
from infra.component import Component
from infra.context import PoolPlan
from infra.kubernetes import planned
from infra.kubernetes.workloads import AKS_WORKLOAD_IDENTITY, Subject, Workloads, WorkloadsArgs
from infra.promise import Made, Served, Variant

INTERNAL = {"service.beta.kubernetes.io/azure-load-balancer-internal": "true"}
"""https://learn.microsoft.com/azure/aks/internal-lb"""
SETTLED_SECONDS = 300.0


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
        nodes = [*self._pool_nodes(control), *self._endpoint_nodes(control)]
        trust = Trust(f"{name}-trust", TrustArgs(ground=args.ground, issuer=control.issuer), self.child())
        workloads = self._workloads(control, trust, [*control.ready, *nodes, trust])
        self.made, self.id = self._made(control, workloads), control.id
        self.register_outputs({"cluster": control.id, "urls": workloads.urls})

    def _pool_nodes(self, control: Control) -> list[pulumi.Resource]:
        made: list[pulumi.Resource] = []
        for pool in self.context.pools.values():
            for index, (shape, spot) in enumerate(pool.variants):
                args = NodesArgs(
                    context=self.context,
                    group=control.group,
                    cluster=control.name,
                    kind="p",
                    owner=pool.name,
                    machine=shape.machine,
                    most=pool.settings.max_machines,
                    gpus=shape.count,
                    disk_gib=pool.settings.disk_gib,
                    spot=spot,
                    zones=pool.settings.zones,
                    subnet=control.subnet,
                    labels=planned.node_labels(pool.name, shape.count),
                    taint=planned.node_taint(pool.name, shape.count),
                )
                made.append(Nodes(f"{self._name}-pool-{pool.name}-{index}", args, self.child()))
        return made

    def _endpoint_nodes(self, control: Control) -> list[pulumi.Resource]:
        if self.context.settings.images.serving is None:
            return []
        made: list[pulumi.Resource] = []
        for plan in self.context.endpoints.values():
            own = planned.serving_nodes(plan.name)
            args = NodesArgs(
                context=self.context,
                group=control.group,
                cluster=control.name,
                kind="s",
                owner=plan.name,
                machine=plan.shape.machine,
                most=plan.max_replicas + 1,  # one more, so that a new replica is there before the old one goes
                gpus=plan.shape.count,
                disk_gib=100,
                subnet=control.subnet,
                labels=planned.node_labels(own, plan.shape.count),
                taint=planned.node_taint(own, plan.shape.count),
            )
            made.append(Nodes(f"{self._name}-{own}", args, self.child()))
        return made

    def _workloads(self, control: Control, trust: Trust, after: list[pulumi.Resource]) -> Workloads:
        settings, ground = self.context.settings, self._ground
        args = WorkloadsArgs(
            namespace=settings.cluster.namespace,
            stack=self.context.stack,
            quota=planned.quota(self.context),
            metadata=AKS_WORKLOAD_IDENTITY,
            keep=ground.storage.keep,
            work=ground.storage.work,
            tags=self.context.tags,
            service_accounts=trust.accounts,
            launchers=self._subjects("train"),
            callers=self._subjects("predict"),
            endpoints=planned.serving(self.context, self._prefixes),
            serving_image=settings.images.serving,
            device_plugin=planned.quota(self.context).gpus > 0,
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

    def _made(self, control: Control, workloads: Workloads) -> Made:
        waiting = {name: Served(url="", access="aks") for name in self.context.endpoints}
        served = {
            name: Served(
                url=url,
                access="direct" if self.context.endpoints[name].exposure == "public" else "aks",
                resource=name,
                settled=SETTLED_SECONDS,
            )
            for name, url in workloads.urls.items()
        }
        place: dict[str, pulumi.Input[str]] = {
            "cluster": control.name,
            "cluster_resource_group": control.group,
            "namespace": workloads.namespace.namespace,
            "issuer": control.issuer,
        }
        pools = {name: _variants(pool) for name, pool in self.context.pools.items()}
        return Made(endpoints={**waiting, **served}, pools=pools, place=place)


def _variants(pool: PoolPlan) -> list[Variant]:
    """Pods of a run carry the label of workload identity, and those of a spot variant put up with AKS' taint."""
    return [
        Variant(
            machine=shape.machine,
            spot=spot,
            body={**planned.template_body(pool, [SPOT] if spot else []), "labels": USE},
        )
        for shape, spot in pool.variants
    ]
