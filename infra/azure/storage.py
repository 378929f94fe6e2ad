"""The two buckets: keep and work, each an account with one container, or the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.firewall import account_rules
from infra.azure.key import Key
from infra.azure.names import KINDS, Kind, Names
from infra.component import Component
from infra.context import Context

WORK_PREFIXES = ("live/", "events/", "logs/", "checkpoints/", "replicas/", "samples/")


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    """Args:
    group: name of the resource group.
    key: None with Azure's own key.
    subnets: that may reach the accounts, by service endpoint.
    logs: id of the log workspace that takes the audit.
    """

    context: Context
    group: pulumi.Input[str]
    key: Key | None
    subnets: Sequence[pulumi.Input[str]]
    logs: pulumi.Input[str]


@dataclass(frozen=True)
class Bucket:
    """One container of an account that the stack made."""

    account: azure.storage.StorageAccount
    container: azure.storage.BlobContainer


class Storage(Component):
    """Two accounts, because versions are a setting of the account: keep has them, work has not.

    Both are private, encrypted twice, reached by TLS 1.2 and by identity only (no account keys, no signatures), and closed but for
    the stack's subnets and `skylift:network.allowed_ranges`. Everything deleted from keep can be had back for the retention; work
    expires by leading prefix. Each write and delete of blobs in keep is written to the log workspace; of work each write, for the
    alarm on machines that report a failure. They outlive `down` unless the stack is disposable. A referenced bucket is used as it is.

    Attributes:
        made: the buckets that are the stack's own.
    """

    def __init__(self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args, self._names = name, args, Names(args.context)
        self.made: dict[Kind, Bucket] = {
            kind: self._bucket(kind) for kind in KINDS if self._names.bucket_given(kind) is None
        }
        self.keep, self.work = (self._url(kind) for kind in KINDS)
        self.register_outputs({"keep": self.keep, "work": self.work})

    def _url(self, kind: Kind) -> pulumi.Output[str]:
        url, made = self._names.bucket(kind), self.made.get(kind)
        return made.container.id.apply(lambda _: url) if made else pulumi.Output.from_input(url)

    def _bucket(self, kind: Kind) -> Bucket:
        account = self._account(kind)
        azure.storage.BlobServiceProperties(
            f"{self._name}-{kind}-blobs",
            resource_group_name=self._args.group,
            account_name=account.name,
            blob_services_name="default",
            is_versioning_enabled=kind == "keep",
            delete_retention_policy=self._deleted(kind),
            container_delete_retention_policy=azure.storage.DeleteRetentionPolicyArgs(enabled=True, days=7),
            opts=self.lasting(),
        )
        container = azure.storage.BlobContainer(
            f"{self._name}-{kind}-container",
            resource_group_name=self._args.group,
            account_name=account.name,
            container_name=kind,
            public_access=azure.storage.PublicAccess.NONE,
            opts=self.lasting(),
        )
        azure.storage.ManagementPolicy(
            f"{self._name}-{kind}-expiry",
            resource_group_name=self._args.group,
            account_name=account.name,
            management_policy_name="default",
            policy=azure.storage.ManagementPolicySchemaArgs(rules=self._expiry(kind)),
            opts=self.lasting(),
        )
        self._audit(kind, account)
        return Bucket(account, container)

    def _account(self, kind: Kind) -> azure.storage.StorageAccount:
        context, key = self.context, self._args.key
        closed = context.egress == "private" and not context.settings.network.allowed_ranges
        return azure.storage.StorageAccount(
            f"{self._name}-{kind}",
            resource_group_name=self._args.group,
            account_name=self._names.account_name(kind),
            kind=azure.storage.Kind.STORAGE_V2,
            # Three zones where data must live; work can be made again.
            sku=azure.storage.SkuArgs(name="Standard_ZRS" if context.is_prod and kind == "keep" else "Standard_LRS"),
            access_tier=azure.storage.AccessTier.HOT,
            allow_blob_public_access=False,
            allow_shared_key_access=False,
            allow_cross_tenant_replication=False,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            minimum_tls_version=azure.storage.MinimumTlsVersion.TLS1_2,
            is_local_user_enabled=False,
            public_network_access="Disabled" if closed else "Enabled",
            network_rule_set=account_rules(context, self._args.subnets),
            encryption=_encryption(key),
            identity=azure.storage.IdentityArgs(type="UserAssigned", user_assigned_identities=[key.identity])
            if key
            else None,
            tags=context.tags,
            opts=self.lasting(depends_on=key.ready if key else None),
        )

    def _deleted(self, kind: Kind) -> azure.storage.DeleteRetentionPolicyArgs:
        """Soft delete. With versions a deleted blob is an old version already; this keeps those that are deleted themselves."""
        days = min(self.context.settings.retention.versions_days, 365) if kind == "keep" else 7
        return azure.storage.DeleteRetentionPolicyArgs(enabled=True, days=days)

    def _expiry(self, kind: Kind) -> list[azure.storage.ManagementPolicyRuleArgs]:
        retention = self.context.settings.retention
        if kind == "keep":
            old = azure.storage.ManagementPolicyVersionArgs(
                delete=azure.storage.DateAfterCreationArgs(days_after_creation_greater_than=retention.versions_days)
            )
            return [_rule("old-versions", azure.storage.ManagementPolicyActionArgs(version=old), None)]
        unchanged = azure.storage.ManagementPolicyBaseBlobArgs(
            delete=azure.storage.DateAfterModificationArgs(days_after_modification_greater_than=retention.work_days)
        )
        # A filter begins with the container and takes ten prefixes.
        prefixes = [f"{kind}/{prefix}" for prefix in WORK_PREFIXES]
        return [_rule("expire", azure.storage.ManagementPolicyActionArgs(base_blob=unchanged), prefixes)]

    def _audit(self, kind: Kind, account: azure.storage.StorageAccount) -> None:
        categories = ("StorageWrite", "StorageDelete") if kind == "keep" else ("StorageWrite",)
        azure.monitor.DiagnosticSetting(
            f"{self._name}-{kind}-audit",
            name="skylift",
            resource_uri=account.id.apply(lambda id_: f"{id_}/blobServices/default"),
            workspace_id=self._args.logs,
            logs=[azure.monitor.DiagnosticsLogSettingsArgs(category=one, enabled=True) for one in categories],
            opts=self.child(deleted_with=account),
        )


def _encryption(key: Key | None) -> azure.storage.EncryptionArgs:
    service = azure.storage.EncryptionServiceArgs(enabled=True, key_type="Account")
    services = azure.storage.EncryptionServicesArgs(blob=service)
    if key is None:
        return azure.storage.EncryptionArgs(
            key_source="Microsoft.Storage", require_infrastructure_encryption=True, services=services
        )
    return azure.storage.EncryptionArgs(
        key_source="Microsoft.Keyvault",
        require_infrastructure_encryption=True,
        services=services,
        # Without a version: storage follows the key's newest one.
        key_vault_properties=azure.storage.KeyVaultPropertiesArgs(key_name=key.key, key_vault_uri=key.vault_uri),
        encryption_identity=azure.storage.EncryptionIdentityArgs(encryption_user_assigned_identity=key.identity),
    )


def _rule(
    name: str, actions: azure.storage.ManagementPolicyActionArgs, prefixes: list[str] | None
) -> azure.storage.ManagementPolicyRuleArgs:
    filters = azure.storage.ManagementPolicyFilterArgs(blob_types=["blockBlob"], prefix_match=prefixes)
    return azure.storage.ManagementPolicyRuleArgs(
        name=name,
        type="Lifecycle",
        enabled=True,
        definition=azure.storage.ManagementPolicyDefinitionArgs(actions=actions, filters=filters),
    )
