"""What the settings reference: is it there, is it of this subscription and region, does it fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pulumi
import pulumi_azure_native as azure

from infra.azure.asking import Answers
from infra.azure.names import Names, last, part
from infra.context import Context


def mistakes(context: Context, answers: Answers, ids: Mapping[str, str]) -> list[str]:
    """Each as one sentence with setting, value and what would work.

    Args:
        ids: resource ids of what the settings name by its address.
    """
    settings, names = context.settings, Names(context)
    found = [*_subscriptions(context)]
    if found:
        return found
    if settings.network.id is not None:
        found += _network(context, answers, settings.network.id)
    if settings.registry is not None and names.registry_id is not None:
        found += _one(context, answers, "registry", names.registry_id, "a container registry", _registry)
    if settings.workspace is not None:
        found += _one(context, answers, "workspace", settings.workspace, "an Azure ML workspace", _workspace)
    if settings.kind == "cluster" and settings.cluster.name is not None:
        found += _one(context, answers, "cluster.name", settings.cluster.name, "an AKS cluster", _cluster)
    key = ids.get(context.encryption_key, context.encryption_key)
    if key.startswith("/subscriptions/"):
        found += _one(context, answers, "encryption_key", key, "a key", _key)
    for who in names.runtime:
        given = names.identity_given(who)
        if given is not None:
            found += _one(context, answers, f"identities.{who}", given, "a managed identity", _identity)
    return found


def _subscriptions(context: Context) -> Iterator[str]:
    settings = context.settings
    given: dict[str, str | None] = {
        "network.id": settings.network.id,
        "workspace": settings.workspace,
        "registry": settings.registry,
        "encryption_key": settings.encryption_key,
    }
    given |= {f"identities.{who}": getattr(settings.identities, who) for who in settings.identities.names()}
    for key, value in given.items():
        owner = part(value or "", "subscriptions")
        if owner and owner.lower() != context.account.lower():
            yield f"skylift:{key} = {value!r} belongs to subscription {owner}, and skylift:account is {context.account}"


def _one(context: Context, answers: Answers, key: str, id_: str, what: str, ask: Any) -> Iterator[str]:
    found = answers.find(context, lambda options: ask(id_, options))
    if found is None:
        yield f"skylift:{key} = {id_!r}: there is no such thing; give {what}, or leave it out and one is made"


def _network(context: Context, answers: Answers, id_: str) -> Iterator[str]:
    group, name = part(id_, "resourceGroups"), last(id_)
    network = answers.find(
        context,
        lambda options: azure.network.get_virtual_network(
            resource_group_name=group, virtual_network_name=name, opts=options
        ),
    )
    if network is None:
        yield f"skylift:network.id = {id_!r}: there is no such thing; give a virtual network, or leave it out and one is made"
        return
    if network.location and network.location.replace(" ", "").lower() != context.region:
        yield f"skylift:network.id = {id_!r} is in {network.location}, and skylift:region is {context.region}"
    there = {last(subnet.id or "") for subnet in network.subnets or ()}
    for subnet in context.settings.network.subnets:
        if last(subnet) not in there:
            known = ", ".join(sorted(there)) or "none"
            yield f"skylift:network.subnets: {last(subnet)!r} is no subnet of {name!r}; it has {known}"


def _registry(id_: str, options: pulumi.InvokeOptions) -> Any:
    group = part(id_, "resourceGroups")
    return azure.containerregistry.get_registry(registry_name=last(id_), resource_group_name=group, opts=options)


def _workspace(id_: str, options: pulumi.InvokeOptions) -> Any:
    group = part(id_, "resourceGroups")
    return azure.machinelearningservices.get_workspace(
        workspace_name=last(id_), resource_group_name=group, opts=options
    )


def _cluster(id_: str, options: pulumi.InvokeOptions) -> Any:
    group = part(id_, "resourceGroups")
    return azure.containerservice.get_managed_cluster(resource_name=last(id_), resource_group_name=group, opts=options)


def _key(id_: str, options: pulumi.InvokeOptions) -> Any:
    group, vault = part(id_, "resourceGroups"), part(id_, "vaults")
    return azure.keyvault.get_key(key_name=last(id_), vault_name=vault, resource_group_name=group, opts=options)


def _identity(id_: str, options: pulumi.InvokeOptions) -> Any:
    group = part(id_, "resourceGroups")
    return azure.managedidentity.get_user_assigned_identity(
        resource_name=last(id_), resource_group_name=group, opts=options
    )
