"""The shape `cluster`: EKS."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.cluster_control import Control, ControlArgs
from infra.aws.cluster_nodes import Nodes, NodesArgs
from infra.aws.cluster_watch import Watch, WatchArgs
from infra.aws.names import Names
from infra.aws.platform import Platform
from infra.component import Component
from infra.kubernetes import nodes, planned
from infra.kubernetes.workloads import EKS_POD_IDENTITY, AutoscalerArgs, Subject, Workloads, WorkloadsArgs

AUTOSCALER = "cluster-autoscaler"
LAUNCHERS, CALLERS = "skylift:launchers", "skylift:callers"
"""Groups inside of the cluster that access entries put roles into."""

BALANCER = {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"}
"""Keeps callers' addresses, which network policies judge by: https://kubernetes.io/docs/concepts/services-networking/service/#aws-nlb-support"""
INTERNAL = {**BALANCER, "service.beta.kubernetes.io/aws-load-balancer-internal": "true"}


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    platform: Platform


class Cluster(Component):
    """A cluster of the stack, or a referenced one, with nodes for each pool and endpoint, and what runs in it.

    The control plane costs about 73 USD a month, each system node what its machine costs; nodes of pools and endpoints begin at none.
    Pods get their identity by EKS Pod Identity and cannot reach the node's.

    Attributes:
        made: for promise().
    """

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.platform.context, opts)
        self._name, self._platform, self._names = name, args.platform, Names(self.context)
        control = Control(f"{name}-control", ControlArgs(platform=args.platform), self.child())
        dedicated = [self._nodes(plan, control) for plan in nodes.dedicated(self.context, mixed=True)]
        ties = [*self._identities(control), *self._people(control)]
        workloads = self._workloads(control, [*control.ready, *dedicated, *ties])
        if self.context.settings.alerts.emails:
            watched = WatchArgs(platform=args.platform, cluster=control.name, logs=control.pod_logs)
            Watch(f"{name}-watch", watched, self.child())
        self.made = planned.made(self.context, workloads, "eks", {"cluster": self._names.cluster})
        self.register_outputs({"cluster": control.name, "urls": workloads.urls})

    def _nodes(self, plan: nodes.NodesPlan, control: Control) -> Nodes:
        args = NodesArgs(platform=self._platform, cluster=control.name, plan=plan)
        return Nodes(f"{self._name}-{plan.name}", args, self.child())

    def _identities(self, control: Control) -> list[pulumi.Resource]:
        namespace = self.context.settings.cluster.namespace
        tied = [(who, namespace, who) for who in ("training", "serving", "launcher")]
        tied.append(("autoscaler", "kube-system", AUTOSCALER))
        return [
            aws.eks.PodIdentityAssociation(
                f"{self._name}-{who}-identity",
                cluster_name=control.name,
                namespace=where,
                service_account=account,
                role_arn=self._platform.identity.arns[who],
                opts=self.child(),
            )
            for who, where, account in tied
            if who in self._platform.identity.arns
        ]

    def _people(self, control: Control) -> list[pulumi.Resource]:
        """Roles of persons, as groups inside of the cluster; what a group may do is a matter of Kubernetes."""
        groups = {"launcher": LAUNCHERS, "caller": CALLERS}
        return [
            aws.eks.AccessEntry(
                f"{self._name}-{who}-entry",
                cluster_name=control.name,
                principal_arn=self._platform.identity.arns[who],
                kubernetes_groups=[group],
                type="STANDARD",
                opts=self.child(),
            )
            for who, group in groups.items()
            if who in self._platform.identity.arns
        ]

    def _workloads(self, control: Control, after: list[pulumi.Resource]) -> Workloads:
        settings, platform = self.context.settings, self._platform
        quota = planned.quota(self.context)
        args = WorkloadsArgs(
            namespace=settings.cluster.namespace,
            stack=self.context.stack,
            quota=quota,
            metadata=EKS_POD_IDENTITY,
            keep=platform.storage.keep,
            work=platform.storage.work,
            tags=self.context.tags,
            launchers=[Subject(kind="Group", name=LAUNCHERS)] if "launcher" in platform.identity.arns else [],
            callers=[Subject(kind="Group", name=CALLERS)] if "caller" in platform.identity.arns else [],
            endpoints=planned.serving(self.context, [platform.network.cidr], Names(self.context).api_keys_arn),
            serving_image=settings.images.serving,
            device_plugin=quota.gpus > 0,
            autoscaler=AutoscalerArgs(cluster=control.name, region=self.context.region, service_account=AUTOSCALER),
            internal_load_balancer_annotations=INTERNAL,
            public_load_balancer_annotations=BALANCER,
        )
        opts = pulumi.ResourceOptions(parent=self, provider=control.kubernetes, depends_on=after)
        return Workloads(f"{self._name}-workloads", args, opts)
