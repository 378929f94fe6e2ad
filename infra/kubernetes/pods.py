"""The security that every pod of ours has, and where pods may stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pulumi_kubernetes as k8s

from infra.kubernetes.naming import GPU

USER = 10001
"""Whom both images run as."""


@dataclass(frozen=True, kw_only=True)
class Toleration:
    """A taint that a pod puts up with; without a value any value of the key."""

    key: str
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a pod may stand.

    Args:
        node_selector: labels that a node must have, as `{POOL_LABEL: "t4"}`.
        tolerations: taints beside that of GPU nodes, as AKS puts on spot nodes.
    """

    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Toleration] = ()


def tolerations(place: Place, gpus: int) -> list[k8s.core.v1.TolerationArgs]:
    """Those of the place, and the taint of GPU nodes where GPUs are asked for."""
    wanted = [Toleration(key=GPU), *place.tolerations] if gpus else list(place.tolerations)
    return [toleration(one) for one in wanted]


def toleration(one: Toleration) -> k8s.core.v1.TolerationArgs:
    operator = "Exists" if one.value is None else "Equal"
    return k8s.core.v1.TolerationArgs(key=one.key, operator=operator, value=one.value, effect=one.effect)


def pod_security(user: int = USER) -> k8s.core.v1.PodSecurityContextArgs:
    """What Pod Security `restricted` asks of a pod, and a user whose files volumes belong to."""
    return k8s.core.v1.PodSecurityContextArgs(
        run_as_non_root=True,
        run_as_user=user,
        run_as_group=user,
        fs_group=user,
        seccomp_profile=k8s.core.v1.SeccompProfileArgs(type="RuntimeDefault"),
    )


def container_security() -> k8s.core.v1.SecurityContextArgs:
    """No rights beyond the user's own, no way to get them, nothing to write on but volumes."""
    return k8s.core.v1.SecurityContextArgs(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=k8s.core.v1.CapabilitiesArgs(drop=["ALL"]),
    )


def http_probe(path: str, port: int | str, period: int, failures: int, timeout: int = 2) -> k8s.core.v1.ProbeArgs:
    """A GET every `period` s that may fail or take longer than `timeout` s for `failures` times on end."""
    return k8s.core.v1.ProbeArgs(
        http_get=k8s.core.v1.HTTPGetActionArgs(path=path, port=port),
        period_seconds=period,
        failure_threshold=failures,
        timeout_seconds=timeout,
    )
