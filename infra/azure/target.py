"""The targets azure-vm, aks and azureml: everything that a stack on Azure has, in the order in which it is needed."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pulumi_azure_native as azure

from infra.azure.access import Access, AccessArgs
from infra.azure.checks import Facts, check, look
from infra.azure.ground import Ground
from infra.azure.identity import Identities, IdentitiesArgs
from infra.azure.key import Key, KeyArgs
from infra.azure.links import Link, Links, LinksArgs
from infra.azure.logs import Logs, LogsArgs
from infra.azure.names import Names
from infra.azure.network import Network, NetworkArgs
from infra.azure.registry import Registry, RegistryArgs
from infra.azure.secrets import Secrets, SecretsArgs
from infra.azure.storage import Storage, StorageArgs
from infra.azure.vault import Vault, VaultArgs
from infra.context import Context
from infra.promise import Made, promise
from skylift.stack import outputs as contract
from skylift.stack.settings import Settings


def provision(settings: Settings, stack: str, root: Path) -> pulumi.Output[contract.Outputs]:
    """Declare everything that a stack on Azure has. Looks at the cloud first, read-only; nothing is made where that finds a mistake."""
    context = Context(settings=settings, stack=stack)
    provider = azure.Provider("azure", subscription_id=context.account, location=context.region)
    ground = _ground(context, provider, check(context, provider))
    names = Names(context)
    made, shape = _shape(ground)
    scopes = {**ground.scopes, names.group_id: [*ground.scopes[names.group_id], *shape]}
    Access("people", AccessArgs(context=context, scopes=scopes, ids=ground.facts.ids), ground.opts)
    return promise(
        context,
        made,
        keep=ground.storage.keep,
        work=ground.storage.work,
        registry=ground.registry.url,
        identities={who: one.id for who, one in ground.identities.of.items()} | _persons(names),
        secrets=ground.secrets.urls if ground.secrets else {},
        place=_place(ground),
    )


def rest(settings: Settings, stack: str) -> None:
    """Declare what a stack has without machines. For an update of its subnet alone, for which all that names the subnet must be
    declared: skylift/engine/resting.py. Nothing is judged: what is wrong with the settings keeps nobody from taking machines away."""
    context = Context(settings=settings, stack=stack)
    provider = azure.Provider("azure", subscription_id=context.account, location=context.region)
    _ground(context, provider, look(context, provider), rests=True)


def _ground(context: Context, provider: azure.Provider, facts: Facts, *, rests: bool = False) -> Ground:
    opts = pulumi.ResourceOptions(providers=[provider])
    made = _group("group", Names(context).group, context, provider)
    group = made.name
    runs = _group("runs", Names(context).runs_group, context, provider) if context.settings.kind == "vm" else None
    logs = Logs("logs", LogsArgs(context=context, group=group), opts)
    network = None
    if needs_network(context):
        network = Network("network", NetworkArgs(context=context, group=group, rests=rests), opts)
    # A network of the user's may lack the service endpoints that a firewall's rule asks for: there the private endpoints do it.
    own = context.settings.network.id is None and context.settings.kind != "managed"
    subnets = network.subnets if network and own else []
    vault = key = None
    if Names(context).needs_vault:
        vault = Vault(
            "vault",
            VaultArgs(context=context, group=group, tenant=facts.tenant, logs=logs.workspace, subnets=subnets),
            opts,
        )
    if context.encryption_key != "provider":
        key = Key("key", KeyArgs(context=context, group=group, vault=vault, ids=facts.ids), opts)
    storage = Storage(
        "storage", StorageArgs(context=context, group=group, key=key, subnets=subnets, logs=logs.workspace), opts
    )
    registry = Registry("registry", RegistryArgs(context=context, group=group, key=key, ids=facts.ids), opts)
    secrets = Secrets("secrets", SecretsArgs(context=context, group=group, vault=vault), opts) if vault else None
    identities = Identities("identities", IdentitiesArgs(context=context, group=group), opts)
    names = Names(context)
    scopes: dict[str, list[pulumi.Resource]] = {names.group_id: [made]}
    scopes |= {names.account_id(kind): [bucket.container] for kind, bucket in storage.made.items()}
    scopes |= {names.registry_id: registry.made} if names.registry_id else {}
    scopes |= {names.vault_id: secrets.made} if secrets else {}
    scopes |= {names.runs_group_id: [runs]} if runs else {}
    scopes |= {names.identity_id(who): one.made for who, one in identities.of.items()}
    scopes |= {names.network_id: network.made} if network else {}
    access = Access("access", AccessArgs(context=context, identities=identities.of, scopes=scopes, ids=facts.ids), opts)
    ready = [*access.assignments, *_links(context, group, network, storage, registry, vault, opts)]
    return Ground(
        context=context,
        group=group,
        group_id=made.id,
        network=network,
        key=key,
        vault=vault,
        storage=storage,
        registry=registry,
        identities=identities,
        secrets=secrets,
        logs=logs,
        facts=facts,
        ready=ready,
        scopes=scopes,
        opts=opts,
    )


def needs_network(context: Context) -> bool:
    """Whether the stack has a network: machines and clusters always; Azure ML, whose workspace brings its own, for private endpoints."""
    return context.settings.kind != "managed" or context.egress == "private" or context.settings.network.id is not None


def _group(name: str, physical: str, context: Context, provider: azure.Provider) -> azure.resources.ResourceGroup:
    """Kept while data lives in it: deleting a resource group deletes what is in it, protected by Pulumi or not."""
    keeps = context.keeps_data and name == "group"
    return azure.resources.ResourceGroup(
        name,
        resource_group_name=physical,
        location=context.region,
        tags=context.tags,
        opts=pulumi.ResourceOptions(provider=provider, protect=keeps, retain_on_delete=keeps),
    )


def _links(
    context: Context,
    group: pulumi.Output[str],
    network: Network | None,
    storage: Storage,
    registry: Registry,
    vault: Vault | None,
    opts: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    if network is None or (context.egress != "private" and context.settings.network.id is None):
        return []
    found: dict[str, Link] = {kind: Link("blob", bucket.account.id) for kind, bucket in storage.made.items()}
    if registry.is_premium and registry.id is not None:
        found["registry"] = Link("registry", registry.id)
    if vault is not None:
        found["vault"] = Link("vault", vault.id)
    args = LinksArgs(context=context, group=group, network=network.id, subnet=network.endpoints, links=found)
    return Links("links", args, opts).ready if found else []


def _shape(ground: Ground) -> tuple[Made, list[pulumi.Resource]]:
    """The one of vm, cluster and managed that the target is; only its modules are imported."""
    match ground.context.settings.kind:
        case "vm":
            from infra.azure.shape_vm import build
        case "cluster":
            from infra.azure.shape_cluster import build
        case _:
            from infra.azure.shape_managed import build
    return build(ground)


def _persons(names: Names) -> dict[str, pulumi.Input[str]]:
    """Identities of persons and CI that the settings reference."""
    found = {who: names.identity_given(who) for who in ("launcher", "releaser", "approver", "custodian")}
    return {who: given for who, given in found.items() if given is not None}


def _place(ground: Ground) -> dict[str, pulumi.Input[str]]:
    place: dict[str, pulumi.Input[str]] = {"resource_group": ground.group, "log_workspace": ground.logs.workspace}
    if ground.context.settings.kind == "vm":
        place["runs_resource_group"] = Names(ground.context).runs_group
    for who, identity in ground.identities.of.items():
        place[f"{who}_client_id"] = identity.client_id
    if ground.network is not None:
        place |= {"network": ground.network.id, "bastion": ground.network.bastion}
        place["subnets"] = pulumi.Output.all(*ground.network.subnets).apply(lambda ids: ",".join(map(str, ids)))
    return place
