"""The Azure ML workspace, made or referenced."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.computed import after
from infra.azure.key import Key
from infra.azure.names import Names, last, part, stable_id
from infra.azure.roles import CONNECTION_APPROVER, role_id
from infra.azure.storage import Storage
from infra.component import Component
from infra.context import Context

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/ai-machine-learning

EVENTS = ("AmlComputeJobEvent", "AmlRunStatusChangedEvent")


@dataclass(frozen=True, kw_only=True)
class WorkspaceArgs:
    """Args:
    group: name of the resource group.
    vault: resource id of the Key Vault; None where the workspace is referenced.
    registry: resource id; None where the settings name a host only.
    logs: id of the log workspace.
    """

    context: Context
    group: pulumi.Input[str]
    storage: Storage
    vault: pulumi.Input[str] | None
    registry: pulumi.Input[str] | None
    key: Key | None
    logs: pulumi.Input[str]


class Workspace(Component):
    """A workspace that works by identity only (its datastores too) and brings its own network: in dev what runs may reach the
    internet, with egress `private` what is approved only, and the workspace itself has no public address. It reaches the keep bucket
    by a private endpoint of that network; its own storage is the work account.

    Costs nothing but its private endpoints (about 7 USD a month each). Deleted workspaces are kept for 14 days under their name:
    before the same stack comes up again, purge it (`az ml workspace delete --permanently-delete`). A referenced workspace is used as
    it is.

    Attributes:
        id, name, group: of the workspace.
        ready: what must be there before anything runs in it.
    """

    def __init__(self, name: str, args: WorkspaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args, self._names = name, args, Names(args.context)
        given = args.context.settings.workspace
        self.ready: list[pulumi.Resource] = []
        if given is not None:
            self.id, self.name = pulumi.Output.from_input(given), pulumi.Output.from_input(last(given))
            self.group: pulumi.Input[str] = part(given, "resourceGroups")
        else:
            made = self._workspace()
            self.id, self.name, self.group = made.id, made.name, args.group
            self.ready = [made, *self._reach_keep(made)]
        self.register_outputs({"id": self.id, "name": self.name})

    def _workspace(self) -> azure.machinelearningservices.Workspace:
        context, args, key = self.context, self._args, self._args.key
        is_closed = context.egress == "private"
        made = azure.machinelearningservices.Workspace(
            f"{self._name}-workspace",
            resource_group_name=args.group,
            workspace_name=last(self._names.workspace_id),
            friendly_name=f"skylift {context.stack}",
            sku=azure.machinelearningservices.SkuArgs(name="Basic", tier=azure.machinelearningservices.SkuTier.BASIC),
            kind="Default",
            identity=azure.machinelearningservices.ManagedServiceIdentityArgs(
                type="SystemAssigned,UserAssigned" if key else "SystemAssigned",
                user_assigned_identities=[key.identity] if key else None,
            ),
            storage_account=args.storage.made["work"].account.id,
            key_vault=args.vault,
            application_insights=self._insights(),
            container_registry=args.registry,
            system_datastores_auth_mode="Identity",
            public_network_access="Disabled" if is_closed else "Enabled",
            managed_network=azure.machinelearningservices.ManagedNetworkSettingsArgs(
                isolation_mode="AllowOnlyApprovedOutbound" if is_closed else "AllowInternetOutbound",
                firewall_sku="Basic" if is_closed else None,
            ),
            provision_network_now=True,
            hbi_workspace=is_closed,
            v1_legacy_mode=False,
            enable_service_side_cmk_encryption=True if key else None,
            encryption=_encryption(key) if key else None,
            tags=context.tags,
            # Rules of the network are resources of their own.
            opts=self.lasting(ignore_changes=["managedNetwork.outboundRules"], depends_on=key.ready if key else None),
        )
        azure.monitor.DiagnosticSetting(
            f"{self._name}-events",
            name="skylift",
            resource_uri=made.id,
            workspace_id=args.logs,
            logs=[azure.monitor.DiagnosticsLogSettingsArgs(category=one, enabled=True) for one in EVENTS],
            opts=self.child(deleted_with=made),
        )
        return made

    def _insights(self) -> pulumi.Output[str]:
        return azure.applicationinsights.Component(
            f"{self._name}-insights",
            resource_group_name=self._args.group,
            resource_name_=self.context.name("insights", most=255),
            kind="web",
            application_type="web",
            ingestion_mode="LogAnalytics",
            workspace_resource_id=self._args.logs,
            disable_local_auth=True,
            retention_in_days=max(self.context.settings.retention.logs_days, 30),
            tags=self.context.tags,
            opts=self.child(),
        ).id

    def _reach_keep(self, made: azure.machinelearningservices.Workspace) -> list[pulumi.Resource]:
        """Its own storage, vault and registry a workspace connects to by itself; other accounts it must be allowed to."""
        keep = self._args.storage.made.get("keep")
        if keep is None:
            return []
        principal = after(made.id, made.identity).apply(lambda found: found.principal_id if found else "")
        scope = self._names.account_id("keep")
        right = azure.authorization.RoleAssignment(
            f"{self._name}-connect",
            role_assignment_name=stable_id(scope, self.context.base, "workspace"),
            scope=scope,
            role_definition_id=role_id(self._names, CONNECTION_APPROVER),
            principal_id=principal,
            principal_type="ServicePrincipal",
            opts=self.child(depends_on=[keep.account]),
        )
        rule = azure.machinelearningservices.ManagedNetworkSettingsRule(
            f"{self._name}-keep",
            resource_group_name=self._args.group,
            workspace_name=made.name,
            rule_name="keep",
            properties=azure.machinelearningservices.PrivateEndpointOutboundRuleArgs(
                type="PrivateEndpoint",
                category="UserDefined",
                destination=azure.machinelearningservices.PrivateEndpointDestinationArgs(
                    service_resource_id=keep.account.id, subresource_target="blob", spark_enabled=False
                ),
            ),
            opts=self.child(depends_on=[right], deleted_with=made),
        )
        return [right, rule]


def _encryption(key: Key) -> azure.machinelearningservices.EncryptionPropertyArgs:
    return azure.machinelearningservices.EncryptionPropertyArgs(
        status="Enabled",
        identity=azure.machinelearningservices.IdentityForCmkArgs(user_assigned_identity=key.identity),
        key_vault_properties=azure.machinelearningservices.KeyVaultPropertiesArgs(
            key_identifier=key.versioned, key_vault_arm_id=key.vault_id
        ),
    )
