"""The stack's Key Vault: its encryption key and its secrets are in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.firewall import vault_rules
from infra.azure.names import Names
from infra.component import Component
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class VaultArgs:
    """Args:
    group: name of the resource group.
    tenant: of the subscription.
    subnets: that may reach it, by service endpoint.
    logs: id of the log workspace that takes the audit.
    """

    context: Context
    group: pulumi.Input[str]
    tenant: pulumi.Input[str]
    logs: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]] = ()


class Vault(Component):
    """A vault that knows rights by role only, behind a firewall that lets in the stack's subnets and the listed ranges.

    Deleted entries can be had back for 90 days, and nobody can purge them before. Where the stack is made disposable it is 7 days, and
    the name of a destroyed stack's vault can be used again after `az keyvault purge --name NAME`; not so with `encryption_key: stack`,
    whose vault cannot be purged. Costs by use: 0.03 USD for each 10 000 operations.
    """

    def __init__(self, name: str, args: VaultArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        context, names = args.context, Names(args.context)
        closed = context.egress == "private" and not context.settings.network.allowed_ranges
        # Encryption of storage asks for a vault whose keys cannot be purged. `false` is refused: it is true or not said.
        purge_protected = context.keeps_data or context.encryption_key == "stack" or None
        self.vault = azure.keyvault.Vault(
            f"{name}-vault",
            resource_group_name=args.group,
            vault_name=names.vault,
            properties=azure.keyvault.VaultPropertiesArgs(
                tenant_id=args.tenant,
                sku=azure.keyvault.SkuArgs(family="A", name=azure.keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                soft_delete_retention_in_days=90 if context.keeps_data else 7,
                enable_purge_protection=purge_protected,
                enabled_for_deployment=False,
                enabled_for_disk_encryption=False,
                enabled_for_template_deployment=False,
                public_network_access="Disabled" if closed else "Enabled",
                network_acls=vault_rules(context, args.subnets),
            ),
            tags=context.tags,
            # Azure lets nobody change the days of a vault that is there, as a stack that becomes disposable would.
            opts=self.lasting(ignore_changes=["properties.softDeleteRetentionInDays"]),
        )
        azure.monitor.DiagnosticSetting(
            f"{name}-audit",
            name="skylift",
            resource_uri=self.vault.id,
            workspace_id=args.logs,
            logs=[azure.monitor.DiagnosticsLogSettingsArgs(category="AuditEvent", enabled=True)],
            opts=self.child(deleted_with=self.vault),
        )
        self.id = self.vault.id
        self.name = self.vault.name
        self.register_outputs({"id": self.id})
