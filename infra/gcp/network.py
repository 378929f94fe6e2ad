"""The network: private addresses only, no way in from the internet."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context
from infra.gcp.grants_runs import SERVE_PORT

IAP = "35.235.240.0/20"
"""Where IAP forwards from: https://cloud.google.com/iap/docs/using-tcp-forwarding"""

HEALTH_CHECKS = ("35.191.0.0/16", "130.211.0.0/22")
"""Where health checks and load balancers call from: https://cloud.google.com/load-balancing/docs/health-check-concepts"""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the addresses are parted. Half of them is for pods."""

    machines: str
    pods: str
    services: str
    proxies: str


def layout(cidr: str) -> Layout:
    """
    Examples:
        >>> layout("10.64.0.0/16")
        Layout(machines='10.64.128.0/18', pods='10.64.0.0/17', services='10.64.192.0/19', proxies='10.64.224.0/19')
    """
    pods, rest = ipaddress.ip_network(cidr).subnets(prefixlen_diff=1)
    machines, last = rest.subnets(prefixlen_diff=1)
    services, proxies = last.subnets(prefixlen_diff=1)
    return Layout(machines=str(machines), pods=str(pods), services=str(services), proxies=str(proxies))


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """
    Args:
        accounts: e-mails of the service accounts, by which firewall rules know machines.
    """

    context: Context
    accounts: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


class Network(Component):
    """A network with one private subnet, or the one that the settings name, which is left as it is.

    Machines have no address of their own on the internet and nothing comes in from there. Google's services are reached inside of
    Google at no price. With `egress: nat` one Cloud NAT leads out (about 1 USD a month for each machine, plus 0.045 USD a GiB); with
    `private` there is no way out but to Google's services, so a rule that denies the rest would deny nothing more. Flow logs in stage
    prod, of each tenth packet, about 0.50 USD a GiB of log.

    Attributes:
        id: of the network.
        subnet: where machines are.
        proxies: subnet of Google's proxies, which load balancers need; None where the stack makes none.
    """

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        settings = args.context.settings.network
        self._name, self._args = name, args
        self.layout = layout(settings.cidr)
        self.proxies: pulumi.Resource | None = None
        if settings.id is not None:
            self.id = pulumi.Output.from_input(settings.id)
            self.subnet = pulumi.Output.from_input(settings.subnets[0])
            if args.context.settings.kind == "vm":
                pulumi.log.info(
                    f"skylift:network.id: your network must let TCP {SERVE_PORT} of serving machines be reached from "
                    f"{', '.join((*HEALTH_CHECKS, IAP))} and from a proxy-only subnet of the region, which it must have",
                    self,
                )
        else:
            self._make()
        self.register_outputs({"id": self.id, "subnet": self.subnet})

    def _make(self) -> None:
        context, name = self.context, self._name
        network = gcp.compute.Network(
            f"{name}-network", auto_create_subnetworks=False, routing_mode="REGIONAL", opts=self.child()
        )
        self.id = network.id
        self.subnet = self._subnet(network)
        if context.egress == "nat":
            self._nat(network)
        if context.settings.kind == "vm":
            self._firewall(network)
            self.proxies = self._proxies(network)

    def _subnet(self, network: gcp.compute.Network) -> pulumi.Output[str]:
        ranges = {"pods": self.layout.pods, "services": self.layout.services}
        cluster = self.context.settings.kind == "cluster"
        return gcp.compute.Subnetwork(
            f"{self._name}-subnet",
            network=network.id,
            region=self.context.region,
            ip_cidr_range=self.layout.machines,
            private_ip_google_access=True,
            secondary_ip_ranges=[
                gcp.compute.SubnetworkSecondaryIpRangeArgs(range_name=key, ip_cidr_range=range_)
                for key, range_ in ranges.items()
            ]
            if cluster
            else None,
            log_config=gcp.compute.SubnetworkLogConfigArgs(
                aggregation_interval="INTERVAL_10_MIN", flow_sampling=0.1, metadata="INCLUDE_ALL_METADATA"
            )
            if self.context.is_prod
            else None,
            opts=self.child(),
        ).id

    def _nat(self, network: gcp.compute.Network) -> None:
        region = self.context.region
        router = gcp.compute.Router(f"{self._name}-router", network=network.id, region=region, opts=self.child())
        gcp.compute.RouterNat(
            f"{self._name}-nat",
            router=router.name,
            region=region,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES",
            log_config=gcp.compute.RouterNatLogConfigArgs(enable=True, filter="ERRORS_ONLY"),
            opts=self.child(),
        )

    def _firewall(self, network: gcp.compute.Network) -> None:
        """Who may reach machines: of the internet nobody. On port 22 only IAP, which asks IAM, where no grant of ours lets anybody."""
        accounts = self._args.accounts
        serving, host = accounts["serving"], accounts["host"]
        own = [self.layout.machines, self.layout.proxies]
        self._allow(network, "serve", [*own, *HEALTH_CHECKS, IAP], [str(SERVE_PORT)], [serving])
        self._allow(network, "tunnel", [IAP], ["22"], [serving, host])
        gcp.compute.Firewall(
            f"{self._name}-runs",
            network=network.id,
            description="The machines of a run reach each other",
            direction="INGRESS",
            source_service_accounts=[host],
            target_service_accounts=[host],
            allows=[gcp.compute.FirewallAllowArgs(protocol="tcp"), gcp.compute.FirewallAllowArgs(protocol="udp")],
            opts=self.child(),
        )

    def _allow(
        self,
        network: gcp.compute.Network,
        word: str,
        sources: Sequence[str],
        ports: Sequence[str],
        accounts: Sequence[pulumi.Input[str]],
    ) -> None:
        gcp.compute.Firewall(
            f"{self._name}-{word}",
            network=network.id,
            direction="INGRESS",
            source_ranges=list(sources),
            target_service_accounts=list(accounts),
            allows=[gcp.compute.FirewallAllowArgs(protocol="tcp", ports=list(ports))],
            opts=self.child(),
        )

    def _proxies(self, network: gcp.compute.Network) -> gcp.compute.Subnetwork:
        return gcp.compute.Subnetwork(
            f"{self._name}-proxies",
            network=network.id,
            region=self.context.region,
            ip_cidr_range=self.layout.proxies,
            purpose="REGIONAL_MANAGED_PROXY",
            role="ACTIVE",
            opts=self.child(),
        )
