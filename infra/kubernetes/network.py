"""Who may talk to whom in a stack's namespace: nobody, but for what is listed here."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_kubernetes as k8s

from infra.kubernetes.naming import SYSTEM
from skylift.errors import InputError


def require_cidr(cidr: str, what: str) -> None:
    """Raises:
    InputError: it is no network in CIDR notation.
    """
    try:
        ipaddress.ip_network(cidr)
    except ValueError as error:
        raise InputError(f"{what}: {cidr!r} is no CIDR ({error})", hint="write it as 10.0.0.0/8") from None


@dataclass(frozen=True, kw_only=True)
class Address:
    """One address that pods fetch their identity's tokens from.

    Args:
        cidr: `169.254.169.252/32`.
        port: TCP.
    """

    cidr: str
    port: int

    def __post_init__(self) -> None:
        require_cidr(self.cidr, "an address of the metadata service")


# Where pods get their tokens. Google: https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity#applications (network
# policies); 988 answers under Calico, 80 under Dataplane V2. AWS: https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html.
# Azure's workload identity asks login.microsoftonline.com, port 443, which is open anyway. Not checked against a cloud.
GKE_METADATA = (Address(cidr="169.254.169.252/32", port=988), Address(cidr="169.254.169.254/32", port=80))
EKS_POD_IDENTITY = (Address(cidr="169.254.170.23/32", port=80), Address(cidr="fd00:ec2::23/128", port=80))
AKS_WORKLOAD_IDENTITY: tuple[Address, ...] = ()

_ANYWHERE = ("0.0.0.0/0", "::/0")
_LINK_LOCAL = "169.254.0.0/16"

Rule = k8s.networking.v1.NetworkPolicySpecArgs
_Egress = k8s.networking.v1.NetworkPolicyEgressRuleArgs
_Ingress = k8s.networking.v1.NetworkPolicyIngressRuleArgs
_Peer = k8s.networking.v1.NetworkPolicyPeerArgs
_Port = k8s.networking.v1.NetworkPolicyPortArgs


def deny_all() -> Rule:
    """Nothing in, nothing out, for every pod of the namespace."""
    return Rule(pod_selector=_pods({}), policy_types=["Ingress", "Egress"])


def training(metadata: Sequence[Address]) -> Rule:
    """For the pods of runs: what they need outside, and each other on any port (tf.distribute picks its own)."""
    among = [_Peer(pod_selector=_pods(_component("training")))]
    return Rule(
        pod_selector=_pods(_component("training")),
        policy_types=["Ingress", "Egress"],
        ingress=[_Ingress(from_=among)],
        egress=[*needed_outside(metadata), _Egress(to=among)],
    )


def serving(selector: dict[str, str], ports: Sequence[int], cidrs: Sequence[str], metadata: Sequence[Address]) -> Rule:
    """For the pods of one endpoint: its ports from the namespace and from `cidrs`, and what they need outside."""
    sources = [_Peer(pod_selector=_pods({})), *(_block(cidr) for cidr in cidrs)]
    return Rule(
        pod_selector=_pods(selector),
        policy_types=["Ingress", "Egress"],
        ingress=[_Ingress(from_=sources, ports=[_Port(protocol="TCP", port=port) for port in ports])],
        egress=needed_outside(metadata),
    )


def needed_outside(metadata: Sequence[Address]) -> list[_Egress]:
    """Egress to the cluster's DNS, to HTTPS anywhere (buckets, registries, secret stores) and to the identity's addresses."""
    dns = [_Peer(namespace_selector=_pods({"kubernetes.io/metadata.name": SYSTEM})), _block(_LINK_LOCAL)]
    ports = [_Port(protocol=protocol, port=53) for protocol in ("UDP", "TCP")]
    return [
        _Egress(to=dns, ports=ports),
        _Egress(to=[_block(cidr) for cidr in _ANYWHERE], ports=[_Port(protocol="TCP", port=443)]),
        *(_Egress(to=[_block(a.cidr)], ports=[_Port(protocol="TCP", port=a.port)]) for a in metadata),
    ]


def _component(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/component": name}


def _pods(match: dict[str, str]) -> k8s.meta.v1.LabelSelectorArgs:
    return k8s.meta.v1.LabelSelectorArgs(match_labels=match) if match else k8s.meta.v1.LabelSelectorArgs()


def _block(cidr: str) -> _Peer:
    return _Peer(ip_block=k8s.networking.v1.IPBlockArgs(cidr=cidr))
