"""The load balancer of one endpoint on machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_azure_native as azure

from infra.azure.computed import after
from infra.azure.machine import port
from infra.azure.names import Names, last
from infra.component import Component
from infra.context import Context, EndpointPlan

PROBE_S = 5


@dataclass(frozen=True, kw_only=True)
class BalancerArgs:
    """Args:
    group: name of the resource group.
    subnet: where its address is, unless the endpoint is public.
    """

    context: Context
    plan: EndpointPlan
    group: pulumi.Input[str]
    subnet: pulumi.Output[str]


class Balancer(Component):
    """A Standard load balancer with an address of the network, or with a public one where the endpoint is `public`, which has TLS.
    A machine gets requests while its `/readyz` answers 200, asked every five seconds.

    Attributes:
        url: base of the HTTP routes.
        address: of the load balancer.
        pool, probe: resource ids for the scale set.
    """

    def __init__(self, name: str, args: BalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        is_public = args.plan.exposure == "public"
        # A load balancer cannot turn from one kind into the other: the name makes it another one.
        own = args.context.name(args.plan.name, "public" if is_public else "private", most=80)
        path = Names(args.context).in_group("Microsoft.Network/loadBalancers", own)
        public = self._public() if is_public else None
        self._has_tls = args.plan.settings.certificate is not None
        made = azure.network.LoadBalancer(
            f"{name}-balancer",
            resource_group_name=args.group,
            load_balancer_name=own,
            sku=azure.network.LoadBalancerSkuArgs(name="Standard"),
            frontend_ip_configurations=[self._front(public)],
            backend_address_pools=[azure.network.BackendAddressPoolArgs(name="machines")],
            probes=[self._probe()],
            load_balancing_rules=[self._rule(path)],
            tags=args.context.tags,
            # Azure's provider would delete the old one first, and the machines with it.
            opts=self.child(delete_before_replace=False),
        )
        self.id = made.id
        # Of the resource, so that what uses them waits for it.
        self.pool = made.id.apply(lambda id_: f"{id_}/backendAddressPools/machines")
        self.probe = made.id.apply(lambda id_: f"{id_}/probes/ready")
        fronts = after(made.id, made.frontend_ip_configurations)
        self.address: pulumi.Output[str] = (
            public.ip_address.apply(lambda ip: ip or "") if public else fronts.apply(_private)
        )
        self.url = self.address.apply(self._url)
        self.register_outputs({"url": self.url, "name": last(path)})

    def _url(self, address: str) -> str:
        if self._has_tls:
            return f"https://{self._args.plan.settings.hostname or address}"
        return f"http://{address}:{port(self._args.plan)}" if address else ""

    def _public(self) -> azure.network.PublicIPAddress:
        return azure.network.PublicIPAddress(
            f"{self._name}-address",
            resource_group_name=self._args.group,
            sku=azure.network.PublicIPAddressSkuArgs(name="Standard"),
            public_ip_allocation_method="Static",
            tags=self.context.tags,
            opts=self.child(),
        )

    def _front(self, public: azure.network.PublicIPAddress | None) -> azure.network.FrontendIPConfigurationArgs:
        if public is not None:
            return azure.network.FrontendIPConfigurationArgs(
                name="front", public_ip_address=azure.network.PublicIPAddressArgs(id=public.id)
            )
        return azure.network.FrontendIPConfigurationArgs(
            name="front",
            private_ip_allocation_method="Dynamic",
            subnet=azure.network.SubnetArgs(id=self._args.subnet),
        )

    def _probe(self) -> azure.network.ProbeArgs:
        return azure.network.ProbeArgs(
            name="ready",
            protocol="Https" if self._has_tls else "Http",
            port=port(self._args.plan),
            request_path="/readyz",
            interval_in_seconds=PROBE_S,
            probe_threshold=2,
        )

    def _rule(self, path: str) -> azure.network.LoadBalancingRuleArgs:
        listens = port(self._args.plan)
        return azure.network.LoadBalancingRuleArgs(
            name="requests",
            protocol="Tcp",
            frontend_port=443 if self._has_tls else listens,
            backend_port=listens,
            frontend_ip_configuration=azure.network.SubResourceArgs(id=f"{path}/frontendIPConfigurations/front"),
            backend_address_pool=azure.network.SubResourceArgs(id=f"{path}/backendAddressPools/machines"),
            probe=azure.network.SubResourceArgs(id=f"{path}/probes/ready"),
            disable_outbound_snat=True,
            enable_tcp_reset=True,
            idle_timeout_in_minutes=4,
        )


def _private(fronts: Any) -> str:
    """The address that Azure chose in the subnet."""
    for front in fronts or ():
        if front.private_ip_address:
            return str(front.private_ip_address)
    return ""
