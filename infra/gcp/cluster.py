"""The shape `cluster`: GKE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pulumi

from infra.component import Component
from infra.context import Context
from infra.gcp import names
from infra.gcp.access import Access, AccessArgs
from infra.gcp.cluster_control import Control, ControlArgs
from infra.gcp.cluster_nodes import Nodes, NodesArgs
from infra.kubernetes import nodes, planned
from infra.kubernetes.naming import Role
from infra.kubernetes.workloads import GKE_METADATA, Account, Subject, Workloads, WorkloadsArgs

if TYPE_CHECKING:
    from infra.gcp.target import Ground

INTERNAL = {"networking.gke.io/load-balancer-type": "Internal"}


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """
    Args:
        members: identities as IAM names them; pods by their principals.
        accounts: e-mails, by identity.
        zones: that sell a machine type, by type.
    """

    context: Context
    network: pulumi.Input[str]
    subnet: pulumi.Input[str]
    cidrs: Sequence[str]
    accounts: Mapping[str, pulumi.Input[str]]
    pods: AccessArgs
    keep: pulumi.Input[str]
    work: pulumi.Input[str]
    zones: Mapping[str, Sequence[str]]
    key: pulumi.Input[str] | None
    after: tuple[pulumi.Resource, ...]

    @classmethod
    def on(cls, ground: Ground) -> ClusterArgs:
        assert ground.network is not None
        context, identities, layout = ground.context, ground.identities, ground.network.layout
        return cls(
            context=context,
            network=ground.network.id,
            subnet=ground.network.subnet,
            cidrs=(layout.machines, layout.pods),
            accounts=identities.emails,
            pods=AccessArgs(
                context=context,
                who=names.workloads(context),
                members=identities.members,
                roles=identities.roles,
                things=ground.things,
            ),
            keep=ground.keep,
            work=ground.work,
            zones=ground.zones,
            key=ground.key,
            after=tuple(ground.access.granted),
        )


class Cluster(Component):
    """A cluster of the stack, or a referenced one, with nodes for each pool and endpoint, and what runs in it.

    Pods are principals of Google's IAM by themselves: no service account, no key. Nodes of pools and endpoints begin at none.

    Attributes:
        made: for promise().
    """

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        control = Control(
            f"{name}-control",
            ControlArgs(
                context=args.context,
                network=args.network,
                subnet=args.subnet,
                nodes=args.accounts["nodes"],
                key=args.key,
                after=args.after,
            ),
            self.child(),
        )
        dedicated = [self._nodes(plan, control) for plan in nodes.dedicated(self.context)]
        # IAM knows a cluster's principals only once it is there.
        rights = Access(f"{name}-pods", args.pods, self.child(depends_on=control.ready))
        workloads = self._workloads(control, [*control.ready, *dedicated, rights])
        self.made = planned.made(self.context, workloads, "gke-dns", {"cluster": names.cluster(self.context)})
        self.register_outputs({"cluster": control.name, "urls": workloads.urls})

    def _nodes(self, plan: nodes.NodesPlan, control: Control) -> Nodes:
        args = NodesArgs(
            context=self.context,
            cluster=control.name,
            account=self._args.accounts["nodes"],
            plan=plan,
            zones=self._args.zones.get(plan.machines[0], ()),
        )
        return Nodes(f"{self._name}-{plan.name}", args, self.child())

    def _workloads(self, control: Control, after: list[pulumi.Resource]) -> Workloads:
        settings, args = self.context.settings, self._args
        return Workloads(
            f"{self._name}-workloads",
            WorkloadsArgs(
                namespace=settings.cluster.namespace,
                stack=self.context.stack,
                quota=planned.quota(self.context),
                metadata=GKE_METADATA,
                keep=args.keep,
                work=args.work,
                tags=self.context.tags,
                service_accounts=self._named(),
                launchers=[Subject(kind="User", name=args.accounts["launcher"])],
                callers=[subject(one) for one in settings.access.predict],
                endpoints=planned.serving(self.context, args.cidrs, partial(names.api_keys, self.context)),
                serving_image=settings.images.serving,
                internal_load_balancer_annotations=INTERNAL,
            ),
            pulumi.ResourceOptions(parent=self, provider=control.kubernetes, depends_on=after),
        )

    def _named(self) -> dict[Role, Account]:
        """Service accounts that the settings name: pods take them on, where their owner lets the namespace do so."""
        roles: tuple[Role, ...] = ("training", "serving")
        return {
            role: Account(annotations={"iam.gke.io/gcp-service-account": email})
            for role in roles
            if (email := names.given(self.context, role)) is not None
        }


def subject(principal: str) -> Subject:
    """A principal of the settings as Kubernetes knows it on GKE, by its e-mail."""
    kind, _, name = principal.partition(":")
    return Subject(kind="Group" if kind in ("group", "principalSet") else "User", name=name)
