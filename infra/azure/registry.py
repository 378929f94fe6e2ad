"""The registry that images are pushed to."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.firewall import addresses
from infra.azure.key import Key
from infra.azure.names import Names
from infra.component import Component
from infra.context import Context


@dataclass(frozen=True, kw_only=True)
class RegistryArgs:
    """Args:
    group: name of the resource group.
    key: None with Azure's own key.
    ids: resource ids of what the settings name by its address.
    """

    context: Context
    group: pulumi.Input[str]
    key: Key | None
    ids: Mapping[str, str]


class Registry(Component):
    """A registry without admin user and without anonymous pulls: Standard (about 20 USD a month), with egress `private` Premium (about
    51), which has private endpoints, own keys and a retention for images without a tag.

    Azure has no registry whose tags cannot move: an image is locked one by one, after its push. So what runs is named by digest
    everywhere, and an image is locked after its push (`az acr repository update --image NAME@DIGEST --write-enabled false`). A task
    cleans up each week: all but the newest images of a repository, locked ones never. A referenced registry is used as it is.

    Attributes:
        host: such as `ours.azurecr.io`.
        id: None where the settings give a host and nobody could look it up.
        made: the resource, where it is the stack's.
    """

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        names = Names(args.context)
        self.url: pulumi.Output[str] = pulumi.Output.from_input(names.registry)
        self.id: pulumi.Input[str] | None = names.registry_id or args.ids.get(names.registry_scope)
        self.made: list[pulumi.Resource] = []
        self.is_premium = args.context.settings.registry is None and args.context.egress == "private"
        if args.context.settings.registry is None:
            registry = self._registry(name, args)
            self._cleaning(name, args, registry)
            self.url, self.id, self.made = registry.login_server, registry.id, [registry]
        self.register_outputs({"url": self.url})

    def _registry(self, name: str, args: RegistryArgs) -> azure.containerregistry.Registry:
        context, premium = args.context, self.is_premium
        ranges = addresses(context.settings.network.allowed_ranges)
        key = args.key if premium else None
        return azure.containerregistry.Registry(
            f"{name}-registry",
            resource_group_name=args.group,
            registry_name=Names(context).registry_name,
            sku=azure.containerregistry.SkuArgs(name="Premium" if premium else "Standard"),
            admin_user_enabled=False,
            anonymous_pull_enabled=False,
            data_endpoint_enabled=premium or None,
            # Standard has no firewall: it is reached by identity from anywhere.
            public_network_access="Disabled" if premium and not ranges else "Enabled",
            network_rule_set=_firewall(ranges) if premium and ranges else None,
            network_rule_bypass_options="AzureServices",
            policies=_policies() if premium else None,
            encryption=_encryption(key),
            identity=_identity(key),
            tags=context.tags,
            opts=self.lasting(depends_on=key.ready if key else None),
        )

    def _cleaning(self, name: str, args: RegistryArgs, registry: azure.containerregistry.Registry) -> None:
        """https://learn.microsoft.com/azure/container-registry/container-registry-auto-purge"""
        keep = args.context.settings.retention.images
        command = f"acr purge --filter '.*:.*' --ago 7d --keep {keep} --untagged"
        task = f"version: v1.1.0\nsteps:\n  - cmd: {command}\n    disableWorkingDirectoryOverride: true\n    timeout: 3600\n"
        azure.containerregistry.Task(
            f"{name}-cleaning",
            resource_group_name=args.group,
            registry_name=registry.name,
            task_name="cleaning",
            platform=azure.containerregistry.PlatformPropertiesArgs(os="Linux", architecture="amd64"),
            agent_configuration=azure.containerregistry.AgentPropertiesArgs(cpu=2),
            status="Enabled",
            step=azure.containerregistry.EncodedTaskStepArgs(
                type="EncodedTask", encoded_task_content=base64.b64encode(task.encode()).decode()
            ),
            timeout=3600,
            trigger=azure.containerregistry.TriggerPropertiesArgs(
                timer_triggers=[azure.containerregistry.TimerTriggerArgs(name="weekly", schedule="0 3 * * 0")]
            ),
            tags=args.context.tags,
            opts=self.child(deleted_with=registry),
        )


def _firewall(ranges: list[str]) -> azure.containerregistry.NetworkRuleSetArgs:
    rules = [azure.containerregistry.IPRuleArgs(i_p_address_or_range=one, action="Allow") for one in ranges]
    return azure.containerregistry.NetworkRuleSetArgs(default_action="Deny", ip_rules=rules)


def _policies() -> azure.containerregistry.PoliciesArgs:
    return azure.containerregistry.PoliciesArgs(
        retention_policy=azure.containerregistry.RetentionPolicyArgs(days=7, status="enabled"),
        export_policy=azure.containerregistry.ExportPolicyArgs(status="enabled"),
    )


def _encryption(key: Key | None) -> azure.containerregistry.EncryptionPropertyArgs | None:
    if key is None:
        return None
    properties = azure.containerregistry.KeyVaultPropertiesArgs(identity=key.client_id, key_identifier=key.url)
    return azure.containerregistry.EncryptionPropertyArgs(status="enabled", key_vault_properties=properties)


def _identity(key: Key | None) -> azure.containerregistry.IdentityPropertiesArgs | None:
    if key is None:
        return None
    assigned = {key.identity_path: azure.containerregistry.UserIdentityPropertiesArgs()}
    return azure.containerregistry.IdentityPropertiesArgs(
        type=azure.containerregistry.ResourceIdentityType.USER_ASSIGNED, user_assigned_identities=assigned
    )
