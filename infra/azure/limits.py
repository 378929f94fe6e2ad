"""What Azure cannot do with settings that are right by themselves. Pure: known before the cloud is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator

from infra.azure.names import Names, is_key_url, vault_and_name
from infra.context import Context

GRID_ONLY = re.compile(r"Standard_NV\d+ads_A10_v5")
"""They need NVIDIA's GRID driver; the images with docker and a driver carry the one for data centres.
https://learn.microsoft.com/azure/virtual-machines/linux/n-series-driver-setup"""

BLOCK = "must be a resource id, /subscriptions/…"
_ID = re.compile(r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[^/]+/providers/[^/]+/.+", re.IGNORECASE)


def mistakes(context: Context) -> list[str]:
    """Each as one sentence with setting, value and what would work."""
    return [
        *_machines(context),
        *_secrets(context),
        *_references(context),
        *_place(context),
        *_workspace(context),
        *_cluster(context),
    ]


def _machines(context: Context) -> Iterator[str]:
    if context.settings.kind != "vm":
        return
    shapes = [(f"pools.{name}", shape) for name, plan in context.pools.items() for shape in plan.shapes]
    shapes += [(f"endpoints.{name}", plan.shape) for name, plan in context.endpoints.items()]
    for at, shape in shapes:
        if GRID_ONLY.fullmatch(shape.machine):
            yield (
                f"skylift:{at}.accelerator = {shape.accelerator!r} means {shape.machine} on Azure, whose GRID driver no image "
                "with docker carries: choose T4, A100-80GB or H100, or target aks, where Azure installs that driver"
            )


def _secrets(context: Context) -> Iterator[str]:
    for name in Names(context).secrets:
        if not re.fullmatch(r"[a-z0-9-]+", name):
            key = "endpoints" if name.startswith("api-keys-") else "secrets"
            yield f"skylift:{key}: Key Vault takes letters, digits and hyphens in {name!r}: use hyphens in place of . and _"
    for name, plan in context.endpoints.items():
        certificate = plan.settings.certificate
        if certificate and context.settings.kind == "vm" and vault_and_name(certificate) == ("", ""):
            yield (
                f"skylift:endpoints.{name}.certificate = {certificate!r} names no secret of a Key Vault: give "
                "https://VAULT.vault.azure.net/secrets/NAME or its resource id"
            )


def _references(context: Context) -> Iterator[str]:
    settings = context.settings
    given = [("network.id", settings.network.id), ("workspace", settings.workspace)]
    given += [(f"network.subnets[{at}]", one) for at, one in enumerate(settings.network.subnets)]
    given += [(f"identities.{who}", getattr(settings.identities, who)) for who in settings.identities.names()]
    if settings.kind == "cluster":
        given.append(("cluster.name", settings.cluster.name))
    chosen = context.encryption_key
    if (
        chosen not in ("provider", "stack")
        and not is_key_url(chosen)
        and not (_ID.fullmatch(chosen) and all(vault_and_name(chosen)))
    ):
        yield (
            f"skylift:encryption_key = {chosen!r} must be `provider`, `stack`, or a key of yours: "
            "https://VAULT.vault.azure.net/keys/NAME, or its resource id, /subscriptions/…/vaults/VAULT/keys/NAME"
        )
    for key, value in given:
        if value is not None and not _ID.fullmatch(value):
            yield f"skylift:{key} = {value!r} {BLOCK}: `az resource show --query id` prints it"
    registry = settings.registry
    if (
        registry is not None
        and not _ID.fullmatch(registry)
        and not re.fullmatch(r"[\w.-]+\.azurecr\.io(/.+)?", registry)
    ):
        yield f"skylift:registry = {registry!r} must be a host such as ours.azurecr.io, or a resource id"


def _place(context: Context) -> Iterator[str]:
    """A network of another region cannot take machines; that is asked of the cloud. Ids of another subscription are seen here."""
    network = context.settings.network.id
    for subnet in context.settings.network.subnets:
        if network is not None and not subnet.lower().startswith(f"{network.lower()}/subnets/"):
            yield f"skylift:network.subnets: {subnet!r} is not of network.id {network!r}"


def _cluster(context: Context) -> Iterator[str]:
    settings = context.settings
    if settings.kind == "cluster" and settings.cluster.name is not None and settings.network.id is None:
        yield (
            f"skylift:cluster.name = {settings.cluster.name!r} is in a network of its own: give it in skylift:network.id with its subnet "
            "of nodes in network.subnets"
        )


def _workspace(context: Context) -> Iterator[str]:
    settings = context.settings
    if settings.kind == "managed" and settings.workspace is None and settings.buckets.work is not None:
        yield (
            f"skylift:buckets.work = {settings.buckets.work!r}: a new workspace takes the stack's own work account as its storage; "
            "leave the setting out, or name a workspace of yours in skylift:workspace"
        )
