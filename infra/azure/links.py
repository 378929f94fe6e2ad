"""Private endpoints: the stack's accounts, vault, registry and workspace at addresses of its own network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.component import Component
from infra.context import Context

# https://learn.microsoft.com/azure/private-link/private-endpoint-dns
ZONES: dict[str, tuple[str, ...]] = {
    "blob": ("privatelink.blob.core.windows.net",),
    "vault": ("privatelink.vaultcore.azure.net",),
    "registry": ("privatelink.azurecr.io",),
    "amlworkspace": ("privatelink.api.azureml.ms", "privatelink.notebooks.azure.net"),
}


@dataclass(frozen=True)
class Link:
    """Args:
    kind: Azure's name of the part that is linked, such as `blob`.
    id: resource id of what it belongs to.
    """

    kind: str
    id: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class LinksArgs:
    """Args:
    group: name of the resource group.
    network: resource id.
    subnet: of the endpoints.
    links: by name.
    """

    context: Context
    group: pulumi.Input[str]
    network: pulumi.Input[str]
    subnet: pulumi.Input[str]
    links: Mapping[str, Link]


class Links(Component):
    """One private endpoint for each thing (about 7 USD a month each, and 0.01 USD for each GB), with the names resolved in the network.

    Attributes:
        ready: the names' records.
    """

    def __init__(self, name: str, args: LinksArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        zones = {
            zone: self._zone(zone)
            for kind in dict.fromkeys(link.kind for link in args.links.values())
            for zone in ZONES[kind]
        }
        self.ready: list[pulumi.Resource] = [self._link(part, link, zones) for part, link in args.links.items()]
        self.register_outputs({"names": list(zones)})

    def _zone(self, zone: str) -> azure.privatedns.PrivateZone:
        made = azure.privatedns.PrivateZone(
            f"{self._name}-{zone}",
            resource_group_name=self._args.group,
            private_zone_name=zone,
            location="global",
            tags=self.context.tags,
            opts=self.child(),
        )
        azure.privatedns.VirtualNetworkLink(
            f"{self._name}-{zone}-network",
            resource_group_name=self._args.group,
            private_zone_name=made.name,
            virtual_network_link_name=self.context.name(most=80),
            location="global",
            registration_enabled=False,
            virtual_network=azure.privatedns.SubResourceArgs(id=self._args.network),
            tags=self.context.tags,
            opts=self.child(),
        )
        return made

    def _link(
        self, part: str, link: Link, zones: Mapping[str, azure.privatedns.PrivateZone]
    ) -> azure.network.PrivateDnsZoneGroup:
        endpoint = azure.network.PrivateEndpoint(
            f"{self._name}-{part}",
            resource_group_name=self._args.group,
            private_endpoint_name=self.context.name(part, "link", most=64),
            subnet=azure.network.SubnetArgs(id=self._args.subnet),
            private_link_service_connections=[
                azure.network.PrivateLinkServiceConnectionArgs(
                    name=part, private_link_service_id=link.id, group_ids=[link.kind]
                )
            ],
            tags=self.context.tags,
            opts=self.child(),
        )
        return azure.network.PrivateDnsZoneGroup(
            f"{self._name}-{part}-names",
            resource_group_name=self._args.group,
            private_endpoint_name=endpoint.name,
            private_dns_zone_group_name="default",
            private_dns_zone_configs=[
                azure.network.PrivateDnsZoneConfigArgs(name=zone.replace(".", "-"), private_dns_zone_id=zones[zone].id)
                for zone in ZONES[link.kind]
            ],
            opts=self.child(),
        )
