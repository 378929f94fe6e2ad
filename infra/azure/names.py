"""Names and resource ids of a stack's things, known before anything is made, so that roles and conditions are known in a preview.

Pure: imports no SDK. What is referenced has the id that the settings give, or none where they give an address only.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Literal

from infra.context import Context
from infra.grants import Who

Kind = Literal["keep", "work"]
KINDS: tuple[Kind, Kind] = ("keep", "work")

RUNTIME: dict[str, tuple[Who, ...]] = {
    "vm": ("training", "serving", "host", "reaper"),
    "cluster": ("training", "serving", "cluster", "nodes"),
    "managed": ("training", "serving"),
}
"""Managed identities of each kind of target."""

_SPACE = uuid.UUID("6f6ec3a8-3f36-5f0c-9d0e-5d3b0b7c9a11")


def stable_id(*parts: str) -> str:
    """The same UUID at every `up`: what role definitions and assignments are called."""
    return str(uuid.uuid5(_SPACE, "/".join(parts)))


@dataclass(frozen=True)
class Names:
    """Of one stack."""

    context: Context

    @property
    def group(self) -> str:
        return self.context.name(most=90)

    @property
    def runs_group(self) -> str:
        """Run groups live in a resource group of their own: who may remove machines there cannot touch those that serve."""
        return self.context.name("runs", most=90)

    @property
    def subscription(self) -> str:
        return f"/subscriptions/{self.context.account}"

    def in_group(self, provider: str, name: str) -> str:
        """Resource id in the stack's group: `in_group("Microsoft.KeyVault/vaults", "x")`."""
        return f"{self.group_id}/providers/{provider}/{name}"

    @property
    def group_id(self) -> str:
        return f"{self.subscription}/resourceGroups/{self.group}"

    @property
    def runs_group_id(self) -> str:
        return f"{self.subscription}/resourceGroups/{self.runs_group}"

    # storage

    def bucket_given(self, kind: Kind) -> str | None:
        return self.context.settings.buckets.keep if kind == "keep" else self.context.settings.buckets.work

    def account_name(self, kind: Kind) -> str:
        """At most 24 letters and digits, the only one in the world."""
        return self.context.short(kind, most=24)

    def account_id(self, kind: Kind) -> str:
        return self.in_group("Microsoft.Storage/storageAccounts", self.account_name(kind))

    def bucket(self, kind: Kind) -> str:
        """URL, `az://account/container`."""
        return self.bucket_given(kind) or f"az://{self.account_name(kind)}/{kind}"

    def bucket_scope(self, kind: Kind) -> str:
        """Resource id of the container; the URL itself for one that is referenced, whose resource group its URL does not tell."""
        return self.bucket_given(kind) or f"{self.account_id(kind)}/blobServices/default/containers/{kind}"

    # vault, key

    @property
    def vault(self) -> str:
        return self.context.short("kv", most=24)

    @property
    def vault_id(self) -> str:
        return self.in_group("Microsoft.KeyVault/vaults", self.vault)

    def secret_id(self, name: str) -> str:
        return f"{self.vault_id}/secrets/{name}"

    def secret_url(self, name: str) -> str:
        return f"https://{self.vault}.vault.azure.net/secrets/{name}"

    def certificate_scope(self, certificate: str) -> str:
        """Resource id of a certificate's secret, where it is told or lies in the stack's vault; else the URL."""
        vault, name = vault_and_name(certificate)
        return self.secret_id(name) if vault == self.vault else certificate

    @property
    def secrets(self) -> tuple[str, ...]:
        """Entries that runs may name, and hashes of API keys of endpoints."""
        keys = (api_keys(name) for name, plan in self.context.endpoints.items() if plan.settings.api_keys)
        return (*self.context.settings.secrets, *keys)

    @property
    def needs_vault(self) -> bool:
        is_managed = self.context.settings.kind == "managed" and not self.context.settings.workspace
        return bool(self.secrets) or self.context.encryption_key == "stack" or is_managed

    @property
    def key_id(self) -> str | None:
        """Resource id of the encryption key, or its URL where the settings give that; None with the provider's own."""
        key = self.context.encryption_key
        if key == "provider":
            return None
        return f"{self.vault_id}/keys/data" if key == "stack" else key

    # registry

    @property
    def registry_name(self) -> str:
        return self.context.short("cr", most=50)

    @property
    def registry_id(self) -> str | None:
        """None where the settings give a host only."""
        given = self.context.settings.registry
        if given is None:
            return self.in_group("Microsoft.ContainerRegistry/registries", self.registry_name)
        return given if given.startswith("/subscriptions/") else None

    @property
    def registry_scope(self) -> str:
        return self.registry_id or str(self.context.settings.registry)

    @property
    def registry(self) -> str:
        """Host and path that images are pushed to."""
        given = self.context.settings.registry
        if given is None:
            return f"{self.registry_name}.azurecr.io"
        return f"{last(given)}.azurecr.io" if self.registry_id else given.rstrip("/")

    @property
    def registry_host(self) -> str:
        return self.registry.partition("/")[0]

    # identities

    @property
    def runtime(self) -> tuple[Who, ...]:
        """A cluster that is referenced has its own identities for control plane and nodes."""
        kind = self.context.settings.kind
        is_given = kind == "cluster" and self.context.settings.cluster.name is not None
        return tuple(who for who in RUNTIME[kind] if not (is_given and who in ("cluster", "nodes")))

    def identity_given(self, who: Who) -> str | None:
        given: str | None = getattr(self.context.settings.identities, who, None)
        return given

    def identity_id(self, who: Who) -> str:
        made = self.in_group("Microsoft.ManagedIdentity/userAssignedIdentities", self.context.name(who, most=128))
        return self.identity_given(who) or made

    # network

    @property
    def network_id(self) -> str:
        given = self.context.settings.network.id
        return given or self.in_group("Microsoft.Network/virtualNetworks", self.context.name("network", most=64))

    @property
    def subnet_ids(self) -> tuple[str, ...]:
        """Where machines and nodes are; the first is the one that is used unless more is said."""
        given = tuple(self.context.settings.network.subnets)
        return given or (f"{self.network_id}/subnets/machines",)

    # what each shape makes

    def set_name(self, endpoint: str) -> str:
        return self.context.name(endpoint, most=60)

    @property
    def cluster_id(self) -> str:
        given = self.context.settings.cluster.name
        return given or self.in_group("Microsoft.ContainerService/managedClusters", self.context.name(most=63))

    @property
    def workspace_id(self) -> str:
        given = self.context.settings.workspace
        name = self.context.name(most=33, unique=True)
        return given or self.in_group("Microsoft.MachineLearningServices/workspaces", name)

    def online_endpoint(self, endpoint: str) -> str:
        """At most 32 letters; the only one in its region."""
        text = self.context.short(endpoint, most=31)
        return text if text[0].isalpha() else f"e{text}"


def api_keys(endpoint: str) -> str:
    """The secret that holds hashes of an endpoint's API keys."""
    return f"api-keys-{endpoint}"


def vault_and_name(secret: str) -> tuple[str, str]:
    """Of a secret, key or certificate by URL or resource id; ("", "") where it is neither."""
    url = re.fullmatch(r"https://([a-z0-9-]+)\.vault\.azure\.net/(?:secrets|keys|certificates)/([\w-]+)(/\w*)?", secret)
    if url:
        return url[1], url[2]
    path = re.fullmatch(r"/subscriptions/.+/vaults/([A-Za-z0-9-]+)/(?:secrets|keys)/([\w-]+)", secret)
    return (path[1], path[2]) if path else ("", "")


def is_key_url(text: str) -> bool:
    """Whether it names a key by its URL, with or without a version."""
    return re.fullmatch(r"https://[a-z0-9-]+\.vault\.azure\.net/keys/[\w-]+(/\w*)?", text) is not None


def last(resource_id: str) -> str:
    """The name at the end of a resource id."""
    return resource_id.rstrip("/").rpartition("/")[2]


def part(resource_id: str, collection: str) -> str:
    """What follows a collection's name in a resource id: `part(id, "resourceGroups")`; empty where it is not there."""
    words = resource_id.split("/")
    lower = [word.lower() for word in words]
    at = lower.index(collection.lower()) + 1 if collection.lower() in lower else len(words)
    return words[at] if at < len(words) else ""
