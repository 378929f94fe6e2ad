"""What whoever runs `skylift up` needs. Read, write and delete of each type that the stack makes; not checked against a cloud."""

from __future__ import annotations

from collections.abc import Iterator

from infra.azure.names import KINDS, Names, is_key_url
from infra.azure.roles import CLUSTER_ADMIN
from infra.grants import Grant

_COMMON = (
    "Microsoft.OperationalInsights/workspaces",
    "Microsoft.Insights/actionGroups",
    "Microsoft.Insights/metricAlerts",
    "Microsoft.Insights/scheduledQueryRules",
    "Microsoft.Insights/diagnosticSettings",
    "Microsoft.Consumption/budgets",
)
_STORAGE = (
    "Microsoft.Storage/storageAccounts",
    "Microsoft.Storage/storageAccounts/blobServices/containers",
    "Microsoft.Storage/storageAccounts/managementPolicies",
)
_NETWORK = (
    "Microsoft.Network/virtualNetworks",
    "Microsoft.Network/virtualNetworks/subnets",
    "Microsoft.Network/networkSecurityGroups",
    "Microsoft.Network/natGateways",
    "Microsoft.Network/publicIPAddresses",
)
_PRIVATE = (
    "Microsoft.Network/privateEndpoints",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
    "Microsoft.Network/privateDnsZones",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
)
_KINDS = {
    "vm": (
        "Microsoft.Compute/virtualMachineScaleSets",
        "Microsoft.Network/loadBalancers",
        "Microsoft.Insights/autoscaleSettings",
        "Microsoft.App/managedEnvironments",
        "Microsoft.App/jobs",
        "Microsoft.Insights/dataCollectionRules",
        "Microsoft.Insights/dataCollectionRuleAssociations",
    ),
    "cluster": (
        "Microsoft.ContainerService/managedClusters",
        "Microsoft.ContainerService/managedClusters/agentPools",
        "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials",
        "Microsoft.Insights/dataCollectionRules",
        "Microsoft.Insights/dataCollectionRuleAssociations",
    ),
    "managed": (
        "Microsoft.MachineLearningServices/workspaces",
        "Microsoft.MachineLearningServices/workspaces/computes",
        "Microsoft.MachineLearningServices/workspaces/environments/versions",
        "Microsoft.MachineLearningServices/workspaces/onlineEndpoints",
        "Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments",
        "Microsoft.MachineLearningServices/workspaces/outboundRules",
        "Microsoft.Insights/components",
        "Microsoft.Insights/autoscaleSettings",
        "Microsoft.Resources/deployments",
    ),
}
_VERBS = ("read", "write", "delete")


def of(names: Names) -> Iterator[Grant]:
    """The rights of `up`: on the stack's resource groups; making those groups is a right on the subscription."""
    group = names.group_id
    yield Grant(
        who="up",
        what="make and remove the stack's resource groups",
        actions=tuple(f"Microsoft.Resources/subscriptions/resourceGroups/{verb}" for verb in _VERBS),
        on=(names.subscription,),
        wide="a resource group that is not there yet has no scope of its own",
    )
    yield Grant(who="up", what="make, change and remove what the stack has", actions=_resources(names), on=(group,))
    yield from _looking(names)
    if names.context.settings.kind == "cluster":
        yield from _inside(names)
    roles = tuple(
        f"Microsoft.Authorization/role{what}/{verb}" for what in ("Definitions", "Assignments") for verb in _VERBS
    )
    if gives_rights(names):
        on = (group, *_referenced(names))
        yield Grant(who="up", what="give the stack's identities and persons their rights", actions=roles, on=on)


def _looking(names: Names) -> Iterator[Grant]:
    """What is asked before anything is made. Without these rights the questions are let be, with a note."""
    service = "MachineLearningServices" if names.context.settings.kind == "managed" else "Compute"
    quotas = (f"Microsoft.{service}/locations/usages/read",)
    wide = "quotas belong to the subscription"
    yield Grant(who="up", what="read quotas", actions=quotas, on=(names.subscription,), wide=wide)
    listed: list[str] = []
    if any(names.bucket_given(kind) for kind in KINDS):
        listed += [f"{_STORAGE[0]}/read", f"{_STORAGE[1]}/read"]
    if names.context.settings.registry is not None and names.registry_id is None:
        listed.append("Microsoft.ContainerRegistry/registries/read")
    if is_key_url(names.context.encryption_key):
        listed.append("Microsoft.KeyVault/vaults/read")
    if listed:
        wide = "an address tells neither resource group nor subscription"
        what = "look up what the settings name by its address"
        yield Grant(who="up", what=what, actions=tuple(listed), on=(names.subscription,), wide=wide)


def _referenced(names: Names) -> tuple[str, ...]:
    """Buckets, registry and key of the user's, on which identities of the stack get rights."""
    given = [url for kind in KINDS if (url := names.bucket_given(kind)) is not None]
    given += [names.registry_scope] if names.context.settings.registry is not None else []
    return (*given, *([names.key_id] if names.key_id and names.context.encryption_key != "stack" else []))


def _inside(names: Names) -> Iterator[Grant]:
    """Azure gives the first to who owns a resource group; the second even its owner lacks."""
    action = "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"
    cluster = (names.cluster_id,)
    yield Grant(who="up", what="reach the cluster", actions=(action,), on=(cluster_scope(names),))
    yield Grant(
        who="up",
        what="make what runs in the cluster",
        actions=(CLUSTER_ADMIN,),
        on=cluster,
        data=True,
        wide="some kinds of objects have no action of their own, and whoever writes roles must have what they give",
    )


def cluster_scope(names: Names) -> str:
    """Where rights over the cluster's resource are given: its resource group, for a role may be made before the cluster is."""
    return names.cluster_id.partition("/providers/")[0]


def gives_rights(names: Names) -> bool:
    """Whether `up` assigns roles at all: not where every identity is referenced and nobody is named in `access`."""
    made = any(names.identity_given(who) is None for who in names.runtime)
    access = names.context.settings.access
    named = any(getattr(access, field) for field in access.names())
    return made or named or names.key_id is not None


def _resources(names: Names) -> tuple[str, ...]:
    settings = names.context.settings
    types = [*_COMMON, *_KINDS[settings.kind]]
    if None in (settings.buckets.keep, settings.buckets.work):
        types += _STORAGE
    if settings.network.id is None:
        types += _NETWORK
    if names.context.egress == "private":
        types += _PRIVATE
    if settings.network.bastion:
        types.append("Microsoft.Network/bastionHosts")
    if settings.registry is None:
        types += ["Microsoft.ContainerRegistry/registries", "Microsoft.ContainerRegistry/registries/tasks"]
    if names.needs_vault:
        types += ["Microsoft.KeyVault/vaults", "Microsoft.KeyVault/vaults/keys", "Microsoft.KeyVault/vaults/secrets"]
    if any(names.identity_given(who) is None for who in names.runtime):
        types.append("Microsoft.ManagedIdentity/userAssignedIdentities")
    extra = [
        "Microsoft.Storage/storageAccounts/blobServices/read",
        "Microsoft.Storage/storageAccounts/blobServices/write",
        "Microsoft.Network/virtualNetworks/subnets/join/action",
        "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
    ]
    return tuple(dict.fromkeys([*(f"{one}/{verb}" for one in types for verb in _VERBS), *extra]))
