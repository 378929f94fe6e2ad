"""The state container and its key on Azure; see infra/bootstrap.py.

Being Owner gives no right to blobs or keys, so whoever runs this is granted both on exactly the container and the key. Others are granted
them by their team: `skylift permissions STACK --as up` prints what.
"""

from __future__ import annotations

import hashlib
import re
import socket
import uuid

import pulumi
import pulumi_azure_native as azure

from infra.bootstrap import Made
from infra.component import Component
from infra.context import Context

CONTAINER = KEY = "state"
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
BLOB_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
CRYPTO_USER = "12338af0-0e69-4776-bea7-57ae8d297424"


def provision(context: Context, *, made_here: bool) -> Made:
    prefix = context.settings.name_prefix
    group, unique = f"{prefix}-state", _unique(context)
    # At most 24 letters and digits for an account, 24 with hyphens for a vault, and both the only ones in the world.
    account = re.sub("[^a-z0-9]", "", prefix)[:11] + "state" + unique
    vault = f"{prefix[:9].rstrip('-')}-state-{unique}"
    provider = azure.Provider("azure", subscription_id=context.account, location=context.region)
    found = set() if made_here else _found(account, vault)
    if found != {"bucket", "key"}:
        State(group, account, vault, found, context, pulumi.ResourceOptions(providers=[provider]))
    return Made(
        backend=f"azblob://{CONTAINER}?storage_account={account}",
        secrets_provider=f"azurekeyvault://{vault}.vault.azure.net/keys/{KEY}",
        found=tuple(sorted(found)),
    )


def _unique(context: Context) -> str:
    text = "/".join((context.account, context.region, context.settings.name_prefix))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _found(account: str, vault: str) -> set[str]:
    """What another machine's bootstrap made in this subscription.

    Both have names in the public DNS while they exist. The provider has no list of them, and asking it for one that is not there would
    fail the whole program: the SDK raises a failed invoke again at the end, caught or not.
    """
    names = {"bucket": f"{account}.blob.core.windows.net", "key": f"{vault}.vault.azure.net"}
    return {kind for kind, name in names.items() if _resolves(name)}


def _resolves(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, 443))
    except OSError:
        return False


class State(Component):
    """A versioned container without shared keys and a key vault by RBAC, both for whoever runs this and signs in with Entra."""

    def __init__(
        self,
        group: str,
        account: str,
        vault: str,
        found: set[str],
        context: Context,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("state", context, opts)
        # An existing group is what a PUT of the same name leaves it: the name, the place and these tags.
        self._group: pulumi.Input[str] = group
        if not found:
            self._group = azure.resources.ResourceGroup(
                "state", resource_group_name=group, location=context.region, tags=context.tags, opts=self.lasting()
            ).name
        me = azure.authorization.get_client_config(opts=pulumi.InvokeOptions(parent=self))
        if "bucket" not in found:
            self._grant("state", self._container(account), BLOB_CONTRIBUTOR, me.object_id)
        if "key" not in found:
            self._grant("state-key", self._key(vault, me.tenant_id), CRYPTO_USER, me.object_id)
        self.register_outputs({})

    def _container(self, name: str) -> pulumi.Output[str]:
        account = azure.storage.StorageAccount(
            "state",
            account_name=name,
            resource_group_name=self._group,
            location=self.context.region,
            kind="StorageV2",
            sku=azure.storage.SkuArgs(name="Standard_LRS"),
            allow_blob_public_access=False,
            allow_shared_key_access=False,
            enable_https_traffic_only=True,
            minimum_tls_version="TLS1_2",
            tags=self.context.tags,
            opts=self.lasting(),
        )
        azure.storage.BlobServiceProperties(
            "state",
            account_name=account.name,
            resource_group_name=self._group,
            blob_services_name="default",
            is_versioning_enabled=True,
            delete_retention_policy=azure.storage.DeleteRetentionPolicyArgs(enabled=True, days=90),
            container_delete_retention_policy=azure.storage.DeleteRetentionPolicyArgs(enabled=True, days=90),
            opts=self.child(),
        )
        container = azure.storage.BlobContainer(
            "state",
            account_name=account.name,
            resource_group_name=self._group,
            container_name=CONTAINER,
            public_access=azure.storage.PublicAccess.NONE,
            opts=self.lasting(),
        )
        return container.id

    def _key(self, name: str, tenant: str) -> pulumi.Output[str]:
        vault = azure.keyvault.Vault(
            "state",
            vault_name=name,
            resource_group_name=self._group,
            location=self.context.region,
            properties=azure.keyvault.VaultPropertiesArgs(
                tenant_id=tenant,
                sku=azure.keyvault.SkuArgs(family="A", name=azure.keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                enable_purge_protection=True,
                soft_delete_retention_in_days=90,
            ),
            tags=self.context.tags,
            opts=self.lasting(),
        )
        key = azure.keyvault.Key(
            "state",
            key_name=KEY,
            vault_name=vault.name,
            resource_group_name=self._group,
            properties=azure.keyvault.KeyPropertiesArgs(kty="RSA", key_size=3072, key_ops=["encrypt", "decrypt"]),
            opts=self.lasting(),
        )
        return pulumi.Output.concat(vault.id, "/keys/", key.name)

    def _grant(self, name: str, scope: pulumi.Input[str], role: str, principal: str) -> None:
        role_id = f"/subscriptions/{self.context.account}/providers/Microsoft.Authorization/roleDefinitions/{role}"
        stable = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.context.account}/{self.context.base}/{name}/{principal}"))
        azure.authorization.RoleAssignment(
            name,
            principal_id=principal,
            role_definition_id=role_id,
            role_assignment_name=stable,
            scope=scope,
            opts=self.child(),
        )
