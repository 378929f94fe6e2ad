"""The networks inside of an AKS cluster, the way out of it and the way in to its API server."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_azure_native as azure

from infra.azure.names import last, part
from infra.azure.network import Network
from infra.context import Context

PODS = ("10.244.0.0/16", "172.24.0.0/16", "192.168.0.0/16")
SERVICES = ("10.0.0.0/16", "172.20.0.0/16", "10.112.0.0/16")
"""Ranges that only the cluster knows, in order of preference; the first that the network does not use is taken."""


def profile(
    prefixes: Sequence[str], outbound: pulumi.Input[str]
) -> azure.containerservice.ContainerServiceNetworkProfileArgs:
    """Pods on an overlay, so that they take no addresses of the network, and Cilium, which obeys network policies.

    https://learn.microsoft.com/azure/aks/azure-cni-powered-by-cilium

    Args:
        prefixes: of the network.
        outbound: see outbound().
    """
    services = free(SERVICES, prefixes)
    return azure.containerservice.ContainerServiceNetworkProfileArgs(
        network_plugin="azure",
        network_plugin_mode="overlay",
        network_dataplane="cilium",
        network_policy="cilium",
        load_balancer_sku="standard",
        outbound_type=outbound,
        pod_cidr=free(PODS, prefixes),
        service_cidr=services,
        dns_service_ip=str(ipaddress.ip_network(services)[10]),
    )


def free(candidates: Sequence[str], used: Sequence[str]) -> str:
    """The first that overlaps nothing in use; the first of all where none is free, which Azure then refuses by name."""
    taken = [ipaddress.ip_network(one) for one in used]
    for candidate in candidates:
        if not any(ipaddress.ip_network(candidate).overlaps(one) for one in taken):
            return candidate
    return candidates[0]


def outbound(subnet: str, parent: pulumi.Resource) -> pulumi.Output[str]:
    """The way out that a referenced subnet has: its NAT gateway, its routes, else an address that AKS makes.

    https://learn.microsoft.com/azure/aks/egress-outboundtype
    """
    found = azure.network.get_subnet_output(
        resource_group_name=part(subnet, "resourceGroups"),
        virtual_network_name=part(subnet, "virtualNetworks"),
        subnet_name=last(subnet),
        opts=pulumi.InvokeOutputOptions(parent=parent),
    )
    return found.apply(_way)


def _way(subnet: Any) -> str:
    if subnet.nat_gateway is not None:
        return "userAssignedNATGateway"
    return "loadBalancer" if subnet.route_table is None else "userDefinedRouting"


def prefixes(network: str, parent: pulumi.Resource) -> list[str]:
    """Address ranges of a referenced network."""
    found = azure.network.get_virtual_network(
        resource_group_name=part(network, "resourceGroups"),
        virtual_network_name=last(network),
        opts=pulumi.InvokeOptions(parent=parent),
    )
    space = found.address_space
    return [one for one in (space.address_prefixes if space else None) or () if ":" not in one]


def reach(
    context: Context, network: Network, parent: pulumi.Resource
) -> azure.containerservice.ManagedClusterAPIServerAccessProfileArgs:
    """Private, or open to the stack's ranges. Those are of IPv4, and the nodes' own way out must be among them:
    https://learn.microsoft.com/azure/aks/api-server-authorized-ip-ranges. The way out of a referenced network is the user's to list."""
    ranges: list[pulumi.Input[str]] = [one for one in context.settings.network.allowed_ranges if ":" not in one]
    if ranges:
        own = [address.apply(lambda text: f"{text}/32") for address in network.outbound]
        return azure.containerservice.ManagedClusterAPIServerAccessProfileArgs(
            authorized_ip_ranges=[*ranges, *own], disable_run_command=True
        )
    pulumi.log.warn(
        "the API server is private: run `up` from inside the network, or list your ranges in skylift:network.allowed_ranges",
        parent,
    )
    return azure.containerservice.ManagedClusterAPIServerAccessProfileArgs(
        enable_private_cluster=True,
        enable_private_cluster_public_fqdn=False,
        private_dns_zone="system",
        disable_run_command=True,
    )
