"""How a network is laid out. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.context import Context
from skylift.errors import SettingsError

MOST_ZONES = 3
LEAST_ZONES = 2
"""Load balancers and EKS refuse to live in one."""


@dataclass(frozen=True)
class Plan:
    """Subnets by zone: private for what computes, public ones (a sixteenth each) for the NAT gateway and public load balancers."""

    private: Mapping[str, str]
    public: Mapping[str, str]


def plan(cidr: str, zones: Sequence[str], *, public: int) -> Plan:
    """Divides a range: a quarter for each private subnet, of the last quarter a quarter for each public one.

    Args:
        public: how many of the zones get a public subnet.

    Examples:
        >>> plan("10.64.0.0/16", ["a", "b"], public=1)
        Plan(private={'a': '10.64.0.0/18', 'b': '10.64.64.0/18'}, public={'a': '10.64.192.0/20'})
    """
    quarters = list(ipaddress.IPv4Network(cidr).subnets(prefixlen_diff=2))
    last = quarters[-1].subnets(prefixlen_diff=2)
    private = {zone: str(quarter) for zone, quarter in zip(zones[:MOST_ZONES], quarters, strict=False)}
    return Plan(private, {zone: str(part) for zone, part in zip(zones[:public], last, strict=False)})


def choose_zones(context: Context, offered: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The zones of a new network: those that pools name first, then those that offer most of the stack's machines.

    Args:
        offered: zone -> machine types that it has.

    Raises:
        SettingsError: fewer than two zones are left.
    """
    named = [zone for pool in context.settings.pools.values() for zone in pool.zones]
    by_offer = sorted(offered, key=lambda zone: (-len(offered[zone]), zone))
    zones = tuple(dict.fromkeys([*named, *by_offer]))
    if len(zones) < LEAST_ZONES:
        raise SettingsError(
            f"skylift:region: {context.region} offers the stack's machines in {len(zones)} zone, and {LEAST_ZONES} are needed",
            hint="choose another region, or `network.id` and `network.subnets` of a network of yours",
            details={"key": "skylift:region", "value": context.region, "zones": list(zones)},
        )
    if len(set(named)) > MOST_ZONES:
        raise SettingsError(
            f"the pools name {len(set(named))} zones, and a network of the stack has subnets in {MOST_ZONES} at most",
            hint=f"name at most {MOST_ZONES} zones in all pools together, or give `network.id` and `network.subnets`",
            details={"key": "skylift:pools", "value": sorted(set(named))},
        )
    return zones[:MOST_ZONES]


def interface_services(context: Context) -> tuple[str, ...]:
    """Services that need an interface endpoint in the network; each costs about 7 USD a month and zone. With a NAT gateway that is none,
    but for callers of a private endpoint of SageMaker, who come from the network itself.

    S3 has its free gateway endpoint always. SageMaker's own agents fetch images and send logs over the service's network, so that its
    containers ask for little: https://docs.aws.amazon.com/sagemaker/latest/dg/train-vpc.html
    """
    settings = context.settings
    if context.egress == "nat":
        is_private = any(endpoint.exposure == "private" for endpoint in context.endpoints.values())
        return ("sagemaker.runtime",) if settings.kind == "managed" and is_private else ()
    has_secrets = bool(settings.secrets) or any(endpoint.api_keys for endpoint in settings.endpoints.values())
    of_kind = {
        # Machines: images, logs, sessions; the host agent's credentials; the machine removes its group or itself.
        "vm": ("ecr.api", "ecr.dkr", "logs", "sts", "ssm", "ssmmessages", "autoscaling", "ec2"),
        # https://docs.aws.amazon.com/eks/latest/userguide/private-clusters.html
        "cluster": (
            "ecr.api",
            "ecr.dkr",
            "logs",
            "sts",
            "ec2",
            "eks",
            "eks-auth",
            "autoscaling",
            "elasticloadbalancing",
        ),
        "managed": ("sagemaker.runtime",),
    }
    more = ("secretsmanager",) if has_secrets else ()
    return of_kind[settings.kind] + more
