"""What the subnets let in and out."""

from __future__ import annotations

import pulumi_azure_native as azure

from infra.context import Context, EndpointPlan

SERVICES = ("Microsoft.Storage", "Microsoft.KeyVault")
"""Service endpoints of the machines' subnet: the way to accounts and vaults does not leave Azure, and costs nothing."""

TLS_PORT = 8443
"""Where a server with a certificate listens on its machine; the load balancer's port is 443."""

PUBLIC_PORTS = {"vm": TLS_PORT, "cluster": 443}
"""Where packets of a public endpoint come to. AKS lets its load balancer pass them on unchanged, with the balancer's own port:
https://learn.microsoft.com/azure/aks/concepts-network-services"""

PUBLIC_TAGS = {
    "vm": ("AzureResourceManager", "AzureMonitor"),
    # https://learn.microsoft.com/azure/aks/outbound-rules-control-egress
    "cluster": (
        "AzureCloud",
        "AzureActiveDirectory",
        "MicrosoftContainerRegistry",
        "AzureFrontDoor.FirstParty",
    ),
    "managed": (),
}
"""Service tags that egress `private` still lets out. On machines: to remove themselves and to send metrics."""


def security_rules(context: Context, part: str) -> list[azure.network.SecurityRuleArgs]:
    """Rules of a subnet beside Azure's own, which let the network talk within itself and nothing in from outside."""
    rules = [_rule("deny-internet", 4096, "Inbound", "Deny", source="Internet")]
    if part != "machines":
        return rules
    public = [plan for plan in context.endpoints.values() if plan.exposure == "public"]
    if public:
        rules += _public(
            sorted({range_ for plan in public for range_ in plan.settings.allowed_ranges}),
            public,
            PUBLIC_PORTS[context.settings.kind],
        )
    if context.egress == "private":
        tags = PUBLIC_TAGS[context.settings.kind]
        rules += [
            _rule(f"allow-{tag.lower().replace('.', '-')}", 200 + at, "Outbound", "Allow", target=tag, port="443")
            for at, tag in enumerate(tags)
        ]
        rules.append(_rule("deny-internet-out", 4096, "Outbound", "Deny", target="Internet"))
    return rules


def _public(ranges: list[str], public: list[EndpointPlan], port: int) -> list[azure.network.SecurityRuleArgs]:
    """TLS only. One subnet serves all endpoints: ranges narrow it where each of them has some."""
    everyone = any(not plan.settings.allowed_ranges for plan in public)
    sources = ["Internet"] if everyone else ranges
    return [
        _rule(f"allow-tls-{at}", 100 + at, "Inbound", "Allow", source=source, port=str(port), protocol="Tcp")
        for at, source in enumerate(sources)
    ]


def _rule(
    name: str,
    priority: int,
    direction: str,
    access: str,
    *,
    source: str = "*",
    target: str = "*",
    port: str = "*",
    protocol: str = "*",
) -> azure.network.SecurityRuleArgs:
    return azure.network.SecurityRuleArgs(
        name=name,
        priority=priority,
        direction=direction,
        access=access,
        protocol=protocol,
        source_address_prefix=source,
        source_port_range="*",
        destination_address_prefix=target,
        destination_port_range=port,
    )
