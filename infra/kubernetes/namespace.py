"""The namespace of a stack: fenced, limited, and with a service account for each kind of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

import pulumi
import pulumi_kubernetes as k8s

from infra.kubernetes import access, network, runs
from infra.kubernetes.naming import GPU, Role, label_value, labels, require_name
from skylift.errors import InputError

_PINNED = "v1.33"
"""Whose meaning of `restricted` is held: without it an upgrade of the cluster would change what is refused."""


@dataclass(frozen=True, kw_only=True)
class Quota:
    """The most that all pods of the namespace may ask for together.

    Args:
        memory_gib: requests as well as limits [GiB].
    """

    gpus: int
    cpus: int
    memory_gib: int
    pods: int = 500

    def __post_init__(self) -> None:
        if self.gpus < 0 or min(self.cpus, self.memory_gib, self.pods) < 1:
            raise InputError(f"a quota that lets nothing run: {self}", hint="give cpus, memory_gib and pods at least 1")

    def hard(self) -> dict[str, str]:
        """As Kubernetes writes it."""
        memory = f"{self.memory_gib}Gi"
        hard = {"pods": str(self.pods), "requests.cpu": str(self.cpus), f"requests.{GPU}": str(self.gpus)}
        return hard | {"requests.memory": memory, "limits.memory": memory}


@dataclass(frozen=True, kw_only=True)
class Account:
    """How the cloud knows a service account.

    Args:
        annotations: on the service account, as `azure.workload.identity/client-id`.
        labels: on the service account.
        pod_labels: on every pod that runs as it, as `azure.workload.identity/use`.
    """

    annotations: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    pod_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NamespaceArgs:
    """See WorkloadsArgs, whose names these are."""

    namespace: str
    stack: str
    quota: Quota
    metadata: Sequence[network.Address]
    tags: Mapping[str, str] = field(default_factory=dict)
    service_accounts: Mapping[Role, Account] = field(default_factory=dict)
    launchers: Sequence[access.Subject] = ()
    callers: Sequence[access.Subject] = ()

    def __post_init__(self) -> None:
        require_name("namespace", self.namespace, most=63)
        if self.namespace == "default" or self.namespace.startswith("kube-"):
            raise InputError(f"namespace {self.namespace!r} is Kubernetes' own", hint="use one for this stack alone")


class Namespace(pulumi.ComponentResource):
    """A namespace in which nothing runs as root, nothing talks to anything unless a policy says so, and nobody asks for more than the
    quota. Pod Security `restricted` is enforced, audited and warned of. Costs nothing. `down` removes it with all that is in it,
    running jobs too.

    Jobs run as training and nobody else. Pods of runs carry the label `app.kubernetes.io/component: training`, which opens their
    network, and name requests and limits of memory, which the quota counts; what names none gets the small ones of the limit range.
    """

    def __init__(self, name: str, args: NamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("skylift:kubernetes:Namespace", name, {}, opts)
        self._args, self._prefix = args, name
        self._child = pulumi.ResourceOptions(parent=self)
        self._labels = labels(args.stack, args.tags)
        made = k8s.core.v1.Namespace(f"{name}-namespace", metadata=self._metadata(), opts=self._child)
        self.namespace: pulumi.Output[str] = made.metadata.apply(lambda metadata: str(metadata.name))
        self._limits()
        self._policies()
        self.accounts: dict[Role, pulumi.Output[str]] = {role: self._account(role) for role in get_args(Role)}
        self._grants()
        runs.hold_to_training(name, self.namespace, self._labels, self._child)
        self.register_outputs({"namespace": self.namespace, "accounts": self.accounts})

    def _metadata(self) -> k8s.meta.v1.ObjectMetaArgs:
        fence = {}
        for mode in ("enforce", "audit", "warn"):
            fence[f"pod-security.kubernetes.io/{mode}"] = "restricted"
            fence[f"pod-security.kubernetes.io/{mode}-version"] = _PINNED
        return k8s.meta.v1.ObjectMetaArgs(name=self._args.namespace, labels={**self._labels, **fence})

    def _inside(self, name: str, **more: Mapping[str, pulumi.Input[str]]) -> k8s.meta.v1.ObjectMetaArgs:
        found = {**self._labels, **more.get("labels", {})}
        return k8s.meta.v1.ObjectMetaArgs(
            name=name, namespace=self.namespace, labels=found, annotations=more.get("annotations")
        )

    def _limits(self) -> None:
        quota = k8s.core.v1.ResourceQuotaSpecArgs(hard=self._args.quota.hard())
        k8s.core.v1.ResourceQuota(f"{self._prefix}-quota", metadata=self._inside("stack"), spec=quota, opts=self._child)
        item = k8s.core.v1.LimitRangeItemArgs(
            type="Container", default={"memory": "512Mi"}, default_request={"cpu": "100m", "memory": "512Mi"}
        )
        spec = k8s.core.v1.LimitRangeSpecArgs(limits=[item])
        k8s.core.v1.LimitRange(f"{self._prefix}-limits", metadata=self._inside("stack"), spec=spec, opts=self._child)

    def _policies(self) -> None:
        policies = {"deny-all": network.deny_all(), "training": network.training(self._args.metadata)}
        for name, spec in policies.items():
            k8s.networking.v1.NetworkPolicy(
                f"{self._prefix}-{name}", metadata=self._inside(name), spec=spec, opts=self._child
            )

    def _account(self, role: Role) -> pulumi.Output[str]:
        given = self._args.service_accounts.get(role, Account())
        metadata = self._inside(
            role,
            labels={key: label_value(value) for key, value in given.labels.items()},
            annotations=given.annotations,
        )
        # The launcher alone speaks to the API server; identities of the cloud come by volumes that it projects itself.
        made = k8s.core.v1.ServiceAccount(
            f"{self._prefix}-{role}",
            metadata=metadata,
            automount_service_account_token=role == "launcher",
            opts=self._child,
        )
        return made.metadata.apply(lambda found: str(found.name))

    def _grants(self) -> None:
        own = access.service_account(self.accounts["launcher"], self.namespace)
        wanted = {"launcher": (access.launcher_rules(), [own, *access.people(self._args.launchers)])}
        if self._args.callers:
            wanted["caller"] = (access.caller_rules(), access.people(self._args.callers))
        for role, (rules, subjects) in wanted.items():
            access.grant(
                f"{self._prefix}-{role}",
                role=role,
                rules=rules,
                subjects=subjects,
                namespace=self.namespace,
                labels=self._labels,
                opts=self._child,
            )
