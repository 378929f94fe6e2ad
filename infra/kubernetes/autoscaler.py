"""The cluster autoscaler, for clusters whose cloud runs none: EKS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from infra.kubernetes import access, pods
from infra.kubernetes.naming import SYSTEM, labels

NAME = "cluster-autoscaler"


@dataclass(frozen=True, kw_only=True)
class AutoscalerArgs:
    """What the autoscaler works on.

    Args:
        service_account: its name in kube-system, which the cloud's identity is tied to.
        idle_minutes: how long a node may stand empty.
    """

    cluster: pulumi.Input[str]
    region: pulumi.Input[str]
    service_account: str = NAME
    idle_minutes: int = 10


class Autoscaler(pulumi.ComponentResource):
    """Adds nodes for pods that find no place, and removes nodes that stand empty. Costs next to nothing itself; each node that it adds
    costs what its machine costs, up to the pools' limits."""

    def __init__(
        self,
        name: str,
        args: AutoscalerArgs,
        *,
        image: str,
        stack: str,
        tags: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("skylift:kubernetes:Autoscaler", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        own = labels(stack, tags, NAME, NAME)
        metadata = k8s.meta.v1.ObjectMetaArgs(name=args.service_account, namespace=SYSTEM, labels=own)
        account = k8s.core.v1.ServiceAccount(f"{name}-account", metadata=metadata, opts=child)
        known = account.metadata.apply(lambda found: str(found.name))
        subjects = [access.service_account(known, SYSTEM)]
        access.cluster_grant(name, role=NAME, rules=_cluster_rules(), subjects=subjects, labels=own, opts=child)
        access.grant(name, role=NAME, rules=_rules(), subjects=subjects, namespace=SYSTEM, labels=own, opts=child)
        self.deployment = k8s.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=k8s.meta.v1.ObjectMetaArgs(name=NAME, namespace=SYSTEM, labels=own),
            spec=_spec(args, image, own, known),
            opts=child,
        )
        self.register_outputs({"deployment": self.deployment.id})


def _spec(
    args: AutoscalerArgs, image: str, own: Mapping[str, str], account: pulumi.Input[str]
) -> k8s.apps.v1.DeploymentSpecArgs:
    selector = {"app.kubernetes.io/name": NAME}
    container = k8s.core.v1.ContainerArgs(
        name=NAME,
        image=image,
        command=["./cluster-autoscaler", *_flags(args)],
        env=[k8s.core.v1.EnvVarArgs(name="AWS_REGION", value=args.region)],
        resources=k8s.core.v1.ResourceRequirementsArgs(
            requests={"cpu": "100m", "memory": "600Mi"}, limits={"memory": "600Mi"}
        ),
        security_context=pods.container_security(),
        liveness_probe=pods.http_probe("/health-check", 8085, period=30, failures=3, timeout=5),
    )
    pod = k8s.core.v1.PodSpecArgs(
        service_account_name=account,
        priority_class_name="system-cluster-critical",
        security_context=pods.pod_security(65534),
        containers=[container],
    )
    return k8s.apps.v1.DeploymentSpecArgs(
        replicas=1,
        selector=k8s.meta.v1.LabelSelectorArgs(match_labels=selector),
        template=k8s.core.v1.PodTemplateSpecArgs(
            metadata=k8s.meta.v1.ObjectMetaArgs(labels={**own, **selector}), spec=pod
        ),
    )


def _flags(args: AutoscalerArgs) -> list[pulumi.Input[str]]:
    """Groups are found by the tags that EKS puts on those of managed node groups. `least-waste` picks the machine that leaves the
    fewest CPUs and least memory idle, so a pod without a GPU never wakes a GPU pool where another would do."""
    tags = "asg:tag=k8s.io/cluster-autoscaler/enabled,k8s.io/cluster-autoscaler/"
    return [
        "--v=2",
        "--stderrthreshold=info",
        "--cloud-provider=aws",
        pulumi.Output.concat("--node-group-auto-discovery=", tags, args.cluster),
        "--expander=least-waste",
        "--balance-similar-node-groups",
        "--skip-nodes-with-local-storage=false",
        "--skip-nodes-with-system-pods=false",
        f"--scale-down-unneeded-time={args.idle_minutes}m",
        "--scale-down-delay-after-add=10m",
        "--max-node-provision-time=15m",
    ]


_READ = ["get", "list", "watch"]


def _cluster_rules() -> list[k8s.rbac.v1.PolicyRuleArgs]:
    """After examples/cluster-autoscaler-autodiscover.yaml of kubernetes/autoscaler 1.33 (cloudprovider/aws), without what only its
    experimental parts use."""
    return [
        access.rule("", ["events", "endpoints"], ["create", "patch"]),
        access.rule("", ["pods/eviction"], ["create"]),
        access.rule("", ["pods/status"], ["update"]),
        access.rule("", ["endpoints"], ["get", "update"], [NAME]),
        access.rule("", ["nodes"], ["get", "list", "update", "watch"]),
        access.rule(
            "",
            [
                "namespaces",
                "persistentvolumeclaims",
                "persistentvolumes",
                "pods",
                "replicationcontrollers",
                "services",
            ],
            _READ,
        ),
        access.rule("batch", ["cronjobs", "jobs"], _READ),
        access.rule("batch", ["jobs"], ["patch"]),
        access.rule("apps", ["daemonsets", "replicasets", "statefulsets"], _READ),
        access.rule("policy", ["poddisruptionbudgets"], ["list", "watch"]),
        access.rule(
            "storage.k8s.io",
            ["csidrivers", "csinodes", "csistoragecapacities", "storageclasses", "volumeattachments"],
            _READ,
        ),
        access.rule("coordination.k8s.io", ["leases"], ["create"]),
        access.rule("coordination.k8s.io", ["leases"], ["get", "update"], [NAME]),
    ]


def _rules() -> list[k8s.rbac.v1.PolicyRuleArgs]:
    own = ["cluster-autoscaler-status", "cluster-autoscaler-priority-expander"]
    return [
        access.rule("", ["configmaps"], ["create", "list", "watch"]),
        access.rule("", ["configmaps"], ["delete", "get", "update", "watch"], own),
    ]
