"""What every kind of target on Azure stands on."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.azure.checks import Facts
from infra.azure.identity import Identities
from infra.azure.key import Key
from infra.azure.logs import Logs
from infra.azure.network import Network
from infra.azure.registry import Registry
from infra.azure.secrets import Secrets
from infra.azure.storage import Storage
from infra.azure.vault import Vault
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What vm, cluster and managed stand on.

    Args:
        group: name of the resource group; `group_id` its resource id.
        network: None on Azure ML unless it has private endpoints, for the workspace brings its own network.
        ready: what must be there before anything runs: rights and private names.
    scopes: by the beginning of a scope, what must be there before a right on it.
    """

    context: Context
    group: pulumi.Output[str]
    group_id: pulumi.Output[str]
    network: Network | None
    key: Key | None
    vault: Vault | None
    storage: Storage
    registry: Registry
    identities: Identities
    secrets: Secrets | None
    logs: Logs
    facts: Facts
    ready: list[pulumi.Resource]
    scopes: dict[str, list[pulumi.Resource]]
    opts: pulumi.ResourceOptions
