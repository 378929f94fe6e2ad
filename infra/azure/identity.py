"""The managed identities of a stack, made or referenced."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_azure_native as azure

from infra.azure.names import Names, last, part
from infra.component import Component
from infra.context import Context
from infra.grants import Who


@dataclass(frozen=True, kw_only=True)
class IdentitiesArgs:
    """Args:
    group: name of the resource group.
    """

    context: Context
    group: pulumi.Input[str]


@dataclass(frozen=True)
class Identity:
    """One managed identity.

    Args:
        made: the resource, where it is this stack's; rights are given to these only.
    """

    id: pulumi.Output[str]
    client_id: pulumi.Output[str]
    principal_id: pulumi.Output[str]
    made: list[pulumi.Resource]

    @property
    def is_made(self) -> bool:
        return bool(self.made)


class Identities(Component):
    """A user-assigned managed identity for each part of the runtime: no keys, and none of them may do what another may.

    What the settings reference is looked up and given no rights: `skylift permissions` prints what it needs.
    """

    def __init__(self, name: str, args: IdentitiesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self.of: dict[Who, Identity] = {who: self._identity(name, who, args) for who in Names(args.context).runtime}
        self.register_outputs({who: one.id for who, one in self.of.items()})

    def _identity(self, name: str, who: Who, args: IdentitiesArgs) -> Identity:
        names = Names(args.context)
        given = names.identity_given(who)
        if given is not None:
            found = azure.managedidentity.get_user_assigned_identity_output(
                resource_group_name=part(given, "resourceGroups"),
                resource_name=last(given),
                opts=pulumi.InvokeOutputOptions(parent=self),
            )
            return Identity(pulumi.Output.from_input(given), found.client_id, found.principal_id, [])
        made = azure.managedidentity.UserAssignedIdentity(
            f"{name}-{who}",
            resource_group_name=args.group,
            resource_name_=last(names.identity_id(who)),
            tags=args.context.tags,
            opts=self.child(),
        )
        return Identity(made.id, made.client_id, made.principal_id, [made])
