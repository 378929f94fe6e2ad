"""The opt-in path from a laptop to machines without public addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.component import Component
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class BastionArgs:
    """Args:
    group: name of the resource group.
    network: name of the virtual network.
    range: of the subnet, a /26 at least.
    after: subnets that are made before.
    """

    context: Context
    group: pulumi.Input[str]
    network: pulumi.Input[str]
    range: str
    after: Sequence[pulumi.Resource]


class Bastion(Component):
    """A Bastion host of tier Standard with tunnels for native clients (Developer has none), about 212 USD a month.

    It has the network's one public address that listens; who may open a tunnel is asked by Entra. Copy and paste, file copy and
    shareable links are off.

    Attributes:
        host: its name.
    """

    def __init__(self, name: str, args: BastionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        subnet = azure.network.Subnet(
            f"{name}-subnet",
            resource_group_name=args.group,
            virtual_network_name=args.network,
            subnet_name="AzureBastionSubnet",  # the name that Azure asks for
            address_prefix=args.range,
            default_outbound_access=False,
            opts=self.child(depends_on=args.after),
        )
        address = azure.network.PublicIPAddress(
            f"{name}-address",
            resource_group_name=args.group,
            sku=azure.network.PublicIPAddressSkuArgs(name="Standard"),
            public_ip_allocation_method="Static",
            tags=args.context.tags,
            opts=self.child(),
        )
        host = azure.network.BastionHost(
            f"{name}-host",
            resource_group_name=args.group,
            bastion_host_name=args.context.name("bastion", most=80),
            sku=azure.network.SkuArgs(name="Standard"),
            enable_tunneling=True,
            enable_ip_connect=True,
            disable_copy_paste=True,
            enable_file_copy=False,
            enable_shareable_link=False,
            scale_units=2,
            ip_configurations=[
                azure.network.BastionHostIPConfigurationArgs(
                    name="bastion",
                    subnet=azure.network.SubResourceArgs(id=subnet.id),
                    public_ip_address=azure.network.SubResourceArgs(id=address.id),
                )
            ],
            tags=args.context.tags,
            opts=self.child(),
        )
        self.host = host.name
        self.register_outputs({"host": self.host})
