"""Entries of the secret store that runs may name, and those for hashes of API keys."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.names import Names
from infra.azure.vault import Vault
from infra.component import Component
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class SecretsArgs:
    """Args:
    group: name of the resource group.
    vault: where they are.
    """

    context: Context
    group: pulumi.Input[str]
    vault: Vault


class Secrets(Component):
    """Each entry with a first version that holds no secret and is switched off: Key Vault has no entry without a version, and a
    right on one entry needs the entry. `az keyvault secret set` adds the version that counts; `up` never looks at it again.

    Azure's control plane cannot delete entries, so those of a stack that goes stay in its vault.

    Attributes:
        urls: by name, never values.
        made: the entries.
    """

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        names = Names(args.context)
        self.urls: dict[str, pulumi.Input[str]] = {}
        self.made: list[pulumi.Resource] = []
        for entry in names.secrets:
            secret = azure.keyvault.Secret(
                f"{name}-{entry}",
                resource_group_name=args.group,
                vault_name=args.vault.name,
                secret_name=entry,
                properties=azure.keyvault.SecretPropertiesArgs(
                    value="unset",
                    content_type="text/plain",
                    attributes=azure.keyvault.SecretAttributesArgs(enabled=False),
                ),
                tags=args.context.tags,
                # The versions that people set are not ours to change.
                opts=self.lasting(ignore_changes=["properties"], deleted_with=args.vault.vault),
            )
            self.made.append(secret)
            self.urls[entry] = names.secret_url(entry)
        self.register_outputs({"urls": self.urls})
