"""Stacks on Azure for the tests of this folder: settings, and what a stack of them declares in the strict mocks."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

from infra.azure import target
from infra.context import Context
from skylift.stack import settings
from skylift.stack.settings import Settings
from tests.clouds import arm
from tests.clouds.cloud import SimulatedCloud
from tests.clouds.mocks import Answer, Recorded, provision
from tests.clouds.world import World

ACCOUNT = World().subscription
REGISTRY = "ours.azurecr.io"
IMAGES = {
    "training": f"{REGISTRY}/skylift/training@sha256:{'0' * 64}",
    "serving": f"{REGISTRY}/skylift/serving@sha256:{'1' * 64}",
}
GROUP = f"/subscriptions/{ACCOUNT}/resourceGroups/theirs/providers"
NETWORK = f"{GROUP}/Microsoft.Network/virtualNetworks/shared"
PERSON = "11111111-2222-3333-4444-555555555555"

FULL: dict[str, Any] = {
    "images": IMAGES,
    "owner": "ada",
    "network": {"bastion": True},
    "secrets": ["wandb"],
    "pools": {"default": {}, "gpu": {"accelerator": "T4", "spot": True}},
    "endpoints": {"default": {}, "fast": {"accelerator": "T4"}},
    "access": {"train": [f"group:{PERSON}"], "release": [PERSON], "predict": [f"sp:{PERSON}"]},
    "alerts": {"emails": ["ada@example.com"]},
    "budget": {"monthly": 100.0},
}
"""Settings that leave hardly anything out."""


def plain(kind: str, **more: Any) -> Settings:
    """Checked settings: the least that a stack needs, and more."""
    least = {"target": kind, "region": "eastus", "account": ACCOUNT}
    return settings.check({**least, **more}, "test")


def context(kind: str, **more: Any) -> Context:
    return Context(settings=plain(kind, **more), stack="lab")


_KNOWN: dict[str, Recorded] = {}


def account() -> SimulatedCloud:
    """A subscription that has what the tests reference by its address."""
    cloud = SimulatedCloud()
    storage = f"{GROUP}/Microsoft.Storage/storageAccounts/theirs"
    cloud.existing(arm.ACCOUNT, storage, {"location": "eastus"})
    for name in ("models", "work"):
        cloud.existing(arm.CONTAINER, f"{storage}/blobServices/default/containers/{name}", {})
    cloud.existing(arm.REGISTRY, f"{GROUP}/Microsoft.ContainerRegistry/registries/ours", {"location": "eastus"})
    cloud.existing("azure-native:keyvault:Vault", f"{GROUP}/Microsoft.KeyVault/vaults/theirs", {"location": "eastus"})
    return cloud


def declared(
    kind: str,
    *,
    preview: bool = False,
    answers: dict[str, Answer] | None = None,
    cloud: SimulatedCloud | None = None,
    **more: Any,
) -> Recorded:
    """What a stack of these settings declares. Known from before where nothing but the settings decides."""
    key = json.dumps([kind, preview, more], sort_keys=True)
    is_known = answers is None and cloud is None
    if is_known and key in _KNOWN:
        return _KNOWN[key]
    checked = plain(kind, **more)
    seen = provision(
        lambda: target.provision(checked, "lab", Path()),
        preview=preview,
        answers=answers,
        stack="lab",
        project="skylift",
        cloud=cloud or account(),
    )
    gc.freeze()  # the SDK's classes are many: each collection after a run would look at all of them again
    return _KNOWN.setdefault(key, seen) if is_known else seen


def identity(name: str) -> str:
    return f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"


def theirs(**more: Any) -> dict[str, Answer]:
    """Answers of a cloud that has what the tests reference."""
    network: dict[str, Any] = {
        "id": NETWORK,
        "name": "shared",
        "location": "eastus",
        "subnets": [{"id": f"{NETWORK}/subnets/machines", "name": "machines"}],
    }
    return {
        "azure-native:network:getVirtualNetwork": {**network, **more},
        "azure-native:managedidentity:getUserAssignedIdentity": lambda asked: {
            "id": identity(asked["resourceName"]),
            "name": asked["resourceName"],
            "clientId": f"client-of-{asked['resourceName']}",
            "principalId": f"principal-of-{asked['resourceName']}",
            "location": "eastus",
        },
        "azure-native:containerregistry:getRegistry": {"id": "x", "name": "theirs", "location": "eastus"},
        "azure-native:machinelearningservices:getWorkspace": {"id": "x", "name": "theirs"},
        "azure-native:keyvault:getKey": {
            "id": "x",
            "name": "data",
            "keyUri": "https://theirs.vault.azure.net/keys/data",
            "keyUriWithVersion": "https://theirs.vault.azure.net/keys/data/1",
        },
    }
