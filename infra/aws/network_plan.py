"""How a network is laid out. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.aws.machines import SYSTEM_MACHINE
from infra.context import Context
from skylift.errors import SettingsError

LEAST_ZONES = 2
"""Load balancers and EKS refuse to live in one."""


@dataclass(frozen=True)
class Plan:
    """Subnets by zone: private for what computes, public ones for the NAT gateway and public load balancers."""

    private: Mapping[str, str]
    public: Mapping[str, str]


def plan(cidr: str, zones: Sequence[str], public: Sequence[str] = ()) -> Plan:
    """Divides a range into eighths: one for the private subnet of each zone, the last one into eighths again for the public ones.

    A zone's place comes from its letter alone: whatever else is asked of the stack later, no subnet ever changes its addresses.

    Args:
        zones: such as `us-east-1a`; letters a to g.
        public: those of them with a public subnet.

    Examples:
        >>> plan("10.64.0.0/16", ["us-east-1a", "us-east-1c"], public=["us-east-1a"])
        Plan(private={'us-east-1a': '10.64.0.0/19', 'us-east-1c': '10.64.64.0/19'}, public={'us-east-1a': '10.64.224.0/22'})
    """
    parts = list(ipaddress.IPv4Network(cidr).subnets(prefixlen_diff=3))
    last = list(parts[-1].subnets(prefixlen_diff=3))
    return Plan(
        private={zone: str(parts[_place(zone)]) for zone in zones},
        public={zone: str(last[_place(zone)]) for zone in public},
    )


def _place(zone: str) -> int:
    place = ord(zone[-1]) - ord("a")
    if not 0 <= place <= 6:
        raise SettingsError(
            f"the zone {zone} has none of the letters a to g, by which subnets get their addresses",
            hint="give `network.id` and `network.subnets` of a network of yours",
            details={"key": "skylift:region", "value": zone},
        )
    return place


def choose_zones(context: Context, offered: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The zones of a new network: all that offer an ordinary machine of today. Old zones, which lack most of what a stack wants and
    EKS too, do not (`us-east-1e`). Subnets cost nothing, and the choice must not move with the settings.

    Args:
        offered: zone -> machine types that it has, machines.SYSTEM_MACHINE among those asked for.

    Raises:
        SettingsError: fewer than two zones are left.
    """
    zones = sorted(zone for zone, has in offered.items() if SYSTEM_MACHINE in has) or sorted(offered)
    if len(zones) < LEAST_ZONES:
        raise SettingsError(
            f"skylift:region: {context.region} offers the stack's machines in {len(zones)} zone, and {LEAST_ZONES} are needed",
            hint="choose another region, or `network.id` and `network.subnets` of a network of yours",
            details={"key": "skylift:region", "value": context.region, "zones": zones},
        )
    return tuple(zones)


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
