"""The network: one virtual network with private subnets, made or referenced."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.bastion import Bastion, BastionArgs
from infra.azure.names import Names, last
from infra.azure.rules import SERVICES, security_rules
from infra.component import Component
from infra.context import Context


@dataclass(frozen=True)
class Layout:
    """Address ranges. Machines (nodes of a cluster) have half of the network; Bastion asks for a /26."""

    machines: str
    endpoints: str
    bastion: str


def layout(cidr: str) -> Layout:
    """How a network of /16 to /20 is divided."""
    machines, rest = ipaddress.ip_network(cidr).subnets(prefixlen_diff=1)
    small = rest.subnets(new_prefix=26)
    return Layout(str(machines), str(next(small)), str(next(small)))


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Args:
    group: name of the resource group.
    rests: no machine is there, so that nothing needs the NAT gateway.
    """

    context: Context
    group: pulumi.Input[str]
    rests: bool = False


class Network(Component):
    """Private subnets: no machine has a public address, and nothing comes in from the internet but what an endpoint with exposure
    `public` asks for, on its TLS port alone.

    Costs one NAT gateway with its address (about 37 USD a month); service endpoints of storage and vault are free. With egress
    `private` the data goes through private endpoints (links.py), and the NAT gateway carries only what its security group lets out:
    Azure's own control planes, without which a machine could not remove itself. A referenced network is used as it is.

    Attributes:
        subnets: where machines and nodes are; Azure ML has its own network for them, and here nothing but private endpoints.
        endpoints: the subnet of private endpoints.
        bastion: name of the Bastion host; empty without one.
        outbound: addresses that the NAT gateway comes out at; nothing of a referenced network.
    """

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        given = args.context.settings.network
        names = Names(args.context)
        self.bastion: pulumi.Output[str] = pulumi.Output.from_input("")
        self.made: list[pulumi.Resource] = []
        self.outbound: list[pulumi.Output[str]] = []
        if given.id is not None:
            self.id = pulumi.Output.from_input(given.id)
            self.subnets = [pulumi.Output.from_input(one) for one in given.subnets]
            self.endpoints = self.subnets[0]
        else:
            self._make(names, layout(given.cidr))
        self.register_outputs({"id": self.id, "subnets": self.subnets, "bastion": self.bastion})

    def _make(self, names: Names, plan: Layout) -> None:
        context, name = self.context, self._name
        network = azure.network.VirtualNetwork(
            f"{name}-network",
            resource_group_name=self._args.group,
            virtual_network_name=last(names.network_id),
            address_space=azure.network.AddressSpaceArgs(address_prefixes=[context.settings.network.cidr]),
            tags=context.tags,
            opts=self.child(),
        )
        machines = None
        if context.settings.kind != "managed":
            machines = self._subnet("machines", network, plan.machines, None if self._args.rests else self._nat(), None)
        # One after the other: Azure refuses a second change of a network while one is under way.
        endpoints = self._subnet("endpoints", network, plan.endpoints, None, machines)
        self.id, self.endpoints = network.id, endpoints.id
        self.subnets = [machines.id if machines else endpoints.id]
        self.made = [machines or endpoints]
        if context.settings.network.bastion:
            args = BastionArgs(
                context=context, group=self._args.group, network=network.name, range=plan.bastion, after=[endpoints]
            )
            self.bastion = Bastion(f"{name}-bastion", args, self.child()).host

    def _subnet(
        self,
        part: str,
        network: azure.network.VirtualNetwork,
        range_: str,
        nat: pulumi.Output[str] | None,
        after: pulumi.Resource | None,
    ) -> azure.network.Subnet:
        group = azure.network.NetworkSecurityGroup(
            f"{self._name}-{part}-rules",
            resource_group_name=self._args.group,
            security_rules=security_rules(self.context, part),
            tags=self.context.tags,
            opts=self.child(),
        )
        return azure.network.Subnet(
            f"{self._name}-{part}",
            resource_group_name=self._args.group,
            virtual_network_name=network.name,
            subnet_name=part,
            address_prefix=range_,
            default_outbound_access=False,
            network_security_group=azure.network.NetworkSecurityGroupArgs(id=group.id),
            nat_gateway=azure.network.SubResourceArgs(id=nat) if nat is not None else None,
            private_endpoint_network_policies="Enabled",
            service_endpoints=[
                azure.network.ServiceEndpointPropertiesFormatArgs(service=service) for service in SERVICES
            ]
            if part == "machines"
            else None,
            opts=self.child(depends_on=[after] if after else None),
        )

    def _nat(self) -> pulumi.Output[str]:
        address = azure.network.PublicIPAddress(
            f"{self._name}-nat-address",
            resource_group_name=self._args.group,
            sku=azure.network.PublicIPAddressSkuArgs(name="Standard"),
            public_ip_allocation_method="Static",
            tags=self.context.tags,
            opts=self.child(),
        )
        self.outbound = [address.ip_address.apply(str)]
        return azure.network.NatGateway(
            f"{self._name}-nat",
            resource_group_name=self._args.group,
            sku=azure.network.NatGatewaySkuArgs(name="Standard"),
            public_ip_addresses=[azure.network.SubResourceArgs(id=address.id)],
            tags=self.context.tags,
            opts=self.child(),
        ).id
