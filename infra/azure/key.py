"""The key that encrypts data at rest: Azure's own, one of the stack, or one of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.names import Names, part, stable_id, vault_and_name
from infra.azure.roles import CRYPTO_SERVICE_USER, role_id
from infra.azure.vault import Vault
from infra.component import Component
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class KeyArgs:
    """Args:
    group: name of the resource group.
    vault: the stack's; None where its key is not in it.
    ids: resource ids of what the settings name by its address.
    """

    context: Context
    group: pulumi.Input[str]
    vault: Vault | None
    ids: Mapping[str, str]


class Key(Component):
    """An RSA key of 3072 bits that a new version of replaces every 90 days, and the identity by which storage and registry use it.

    The identity may wrap and unwrap with this one key and nothing else. A key of the user's is used as it is: the stack gives its
    identity the right to use it, so `up` needs the right to assign roles on that key. Costs 0.03 USD for each 10 000 operations.

    Attributes:
        vault_uri, key, url: where the key is; `versioned` names its version of now.
        vault_id: resource id of its vault.
        identity: resource id of the identity; `identity_path` is the same, known beforehand.
        ready: what must be there before the key is used.
    """

    def __init__(self, name: str, args: KeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        context, names = args.context, Names(args.context)
        scope = args.ids.get(names.key_id or "", names.key_id or "")
        vault, self.key = vault_and_name(scope)
        self.vault_uri = f"https://{vault}.vault.azure.net/"
        self.url = f"{self.vault_uri}keys/{self.key}"
        self.vault_id = scope.partition("/keys/")[0]
        after: list[pulumi.Resource] = []
        if args.vault is not None and context.encryption_key == "stack":
            made = self._key(name, args.group, args.vault)
            self.versioned = made.key_uri_with_version
            after.append(made)
        else:
            self.versioned = azure.keyvault.get_key_output(
                key_name=self.key,
                vault_name=vault,
                resource_group_name=part(scope, "resourceGroups"),
                opts=pulumi.InvokeOutputOptions(parent=self),
            ).key_uri_with_version
        identity = azure.managedidentity.UserAssignedIdentity(
            f"{name}-identity",
            resource_group_name=args.group,
            resource_name_=context.name("encryption", most=128),
            tags=context.tags,
            opts=self.lasting(),
        )
        self.identity_path = names.in_group(
            "Microsoft.ManagedIdentity/userAssignedIdentities", context.name("encryption", most=128)
        )
        self.identity, self.client_id = identity.id, identity.client_id
        assignment = azure.authorization.RoleAssignment(
            f"{name}-use",
            role_assignment_name=stable_id(scope, context.base, "encryption"),
            scope=scope,
            role_definition_id=role_id(names, CRYPTO_SERVICE_USER),
            principal_id=identity.principal_id,
            principal_type="ServicePrincipal",
            opts=self.lasting(depends_on=after),
        )
        self.ready: list[pulumi.Resource] = [*after, assignment]
        self.register_outputs({"url": self.url, "identity": self.identity})

    def _key(self, name: str, group: pulumi.Input[str], vault: Vault) -> azure.keyvault.Key:
        rotation = azure.keyvault.RotationPolicyArgs(
            attributes=azure.keyvault.KeyRotationPolicyAttributesArgs(expiry_time="P2Y"),
            lifetime_actions=[
                azure.keyvault.LifetimeActionArgs(
                    action=azure.keyvault.ActionArgs(type=azure.keyvault.KeyRotationPolicyActionType.ROTATE),
                    trigger=azure.keyvault.TriggerArgs(time_after_create="P90D"),
                )
            ],
        )
        return azure.keyvault.Key(
            f"{name}-key",
            resource_group_name=group,
            vault_name=vault.name,
            key_name=self.key,
            properties=azure.keyvault.KeyPropertiesArgs(
                kty="RSA", key_size=3072, key_ops=["wrapKey", "unwrapKey"], rotation_policy=rotation
            ),
            tags=self.context.tags,
            opts=self.lasting(),
        )
