"""Entries of the secret store, empty: who fills them is a person with a command, never a program in state."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_gcp as gcp

from infra.component import Component
from infra.context import Context
from infra.gcp import names


@dataclass(frozen=True, kw_only=True)
class SecretsArgs:
    """
    Args:
        key: encryption key; None for Google's own.
    """

    context: Context
    key: pulumi.Input[str] | None = None


class Secrets(Component):
    """Each entry of `skylift:secrets`, and one of API-key hashes for each endpoint that has keys, kept in the stack's region only.

    Values are put in by `skylift secret set`. Each is read by one identity, see access.py. Protected and retained unless the stack is
    disposable. 0.06 USD a month for each entry that holds a value.

    Attributes:
        ids: resource names by the names of the settings, known once they are there.
    """

    def __init__(self, name: str, args: SecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self.ids: dict[str, pulumi.Output[str]] = {
            entry: self._entry(f"{name}-{names.slug(entry, most=63)}", identifier, args.key)
            for entry, identifier in names.secrets(args.context).items()
        }
        self.register_outputs({"ids": self.ids})

    def _entry(self, name: str, identifier: str, key: pulumi.Input[str] | None) -> pulumi.Output[str]:
        encryption = (
            None
            if key is None
            else gcp.secretmanager.SecretReplicationUserManagedReplicaCustomerManagedEncryptionArgs(kms_key_name=key)
        )
        replica = gcp.secretmanager.SecretReplicationUserManagedReplicaArgs(
            location=self.context.region, customer_managed_encryption=encryption
        )
        return gcp.secretmanager.Secret(
            name,
            secret_id=identifier,
            replication=gcp.secretmanager.SecretReplicationArgs(
                user_managed=gcp.secretmanager.SecretReplicationUserManagedArgs(replicas=[replica])
            ),
            deletion_protection=self.context.keeps_data,
            version_destroy_ttl="86400s",
            opts=self.lasting(),
        ).id
