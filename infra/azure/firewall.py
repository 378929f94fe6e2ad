"""Firewalls of accounts, vaults and registries: closed but for the stack's subnets and the ranges that the settings list."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import pulumi
import pulumi_azure_native as azure

from infra.context import Context


def addresses(ranges: Sequence[str]) -> list[str]:
    """Ranges as Azure's firewalls take them: single addresses bare, a /31 as two, IPv6 not at all.

    https://learn.microsoft.com/azure/storage/common/storage-network-security
    """
    found: list[str] = []
    for text in ranges:
        range_ = ipaddress.ip_network(text)
        if range_.version == 4:
            found += [str(one) for one in range_] if range_.prefixlen >= 31 else [str(range_)]
    return found


def account_rules(context: Context, subnets: Sequence[pulumi.Input[str]]) -> azure.storage.NetworkRuleSetArgs:
    """Of a storage account. Azure's own trusted services (its logs, the managed ML workspace) pass, by their identity."""
    return azure.storage.NetworkRuleSetArgs(
        default_action=azure.storage.DefaultAction.DENY,
        bypass="AzureServices",
        ip_rules=[
            azure.storage.IPRuleArgs(i_p_address_or_range=one, action=azure.storage.Action.ALLOW)
            for one in addresses(context.settings.network.allowed_ranges)
        ],
        virtual_network_rules=[
            azure.storage.VirtualNetworkRuleArgs(virtual_network_resource_id=one, action=azure.storage.Action.ALLOW)
            for one in subnets
        ],
    )


def vault_rules(context: Context, subnets: Sequence[pulumi.Input[str]]) -> azure.keyvault.NetworkRuleSetArgs:
    """Of a Key Vault; trusted services are those that encrypt with its key."""
    return azure.keyvault.NetworkRuleSetArgs(
        default_action="Deny",
        bypass="AzureServices",
        ip_rules=[azure.keyvault.IPRuleArgs(value=one) for one in addresses(context.settings.network.allowed_ranges)],
        virtual_network_rules=[azure.keyvault.VirtualNetworkRuleArgs(id=one) for one in subnets],
    )
