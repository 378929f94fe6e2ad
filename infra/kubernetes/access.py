"""What people and service accounts may do in a stack's namespace. No rule holds a wildcard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_kubernetes as k8s

_Rule = k8s.rbac.v1.PolicyRuleArgs


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A person, a group of them or a robot as the cluster names it: an email on GKE, a group of an access entry on EKS, an object id
    on AKS."""

    kind: Literal["User", "Group"]
    name: pulumi.Input[str]


def launcher_rules() -> list[_Rule]:
    """Start, watch and stop runs; read their output. Events say why a pod does not start (no capacity, quota)."""
    made = ["create", "delete", "get", "list", "watch"]
    return [
        _rule("batch", ["jobs"], made),
        _rule("jobset.x-k8s.io", ["jobsets"], made),
        _rule("", ["pods"], ["get", "list", "watch"]),
        _rule("", ["pods/log"], ["get"]),
        _rule("", ["events"], ["get", "list", "watch"]),
    ]


def caller_rules() -> list[_Rule]:
    """Reach an endpoint from outside of the cluster through the API server, which asks who one is."""
    return [
        _rule("", ["pods", "services"], ["get", "list"]),
        _rule("", ["pods/portforward"], ["create"]),
    ]


def service_account(name: pulumi.Input[str], namespace: pulumi.Input[str]) -> k8s.rbac.v1.SubjectArgs:
    return k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=name, namespace=namespace)


def grant(
    name: str,
    *,
    role: str,
    rules: Sequence[_Rule],
    subjects: Sequence[k8s.rbac.v1.SubjectArgs],
    namespace: pulumi.Input[str],
    labels: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """A Role and its RoleBinding, both called `role`."""
    metadata = k8s.meta.v1.ObjectMetaArgs(name=role, namespace=namespace, labels=labels)
    k8s.rbac.v1.Role(f"{name}-role", metadata=metadata, rules=list(rules), opts=opts)
    reference = k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=role)
    k8s.rbac.v1.RoleBinding(
        f"{name}-binding", metadata=metadata, role_ref=reference, subjects=list(subjects), opts=opts
    )


def cluster_grant(
    name: str,
    *,
    role: str,
    rules: Sequence[_Rule],
    subjects: Sequence[k8s.rbac.v1.SubjectArgs],
    labels: Mapping[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """A ClusterRole and its ClusterRoleBinding, both called `role`: for controllers only."""
    metadata = k8s.meta.v1.ObjectMetaArgs(name=role, labels=labels)
    k8s.rbac.v1.ClusterRole(f"{name}-cluster-role", metadata=metadata, rules=list(rules), opts=opts)
    reference = k8s.rbac.v1.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=role)
    k8s.rbac.v1.ClusterRoleBinding(
        f"{name}-cluster-binding", metadata=metadata, role_ref=reference, subjects=list(subjects), opts=opts
    )


def people(subjects: Sequence[Subject]) -> list[k8s.rbac.v1.SubjectArgs]:
    return [
        k8s.rbac.v1.SubjectArgs(kind=one.kind, name=one.name, api_group="rbac.authorization.k8s.io") for one in subjects
    ]


def rule(group: str, resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] | None = None) -> _Rule:
    """One rule of RBAC, narrowed to objects of those names where given."""
    return _Rule(
        api_groups=[group],
        resources=list(resources),
        verbs=list(verbs),
        resource_names=list(names) if names is not None else None,
    )


_rule = rule
