"""The grants made real: custom roles and their assignments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_azure_native as azure

from infra.azure.grants import grants, principals
from infra.azure.identity import Identity
from infra.azure.names import Names
from infra.azure.roles import Bundle, Role, bundles, located, roles
from infra.component import Component
from infra.context import Context
from infra.grants import Who

# https://learn.microsoft.com/azure/role-based-access-control/role-assignments-template#new-service-principal
TYPES = {"user": "User", "group": "Group", "sp": "ServicePrincipal"}


@dataclass(frozen=True, kw_only=True)
class AccessArgs:
    """Args:
    identities: of the runtime. With some, these get their rights; with none, the persons of `skylift:access` get theirs.
    scopes: by the beginning of a scope, what must be there before a right on it.
    ids: resource ids of what the settings name by its address.
    """

    context: Context
    identities: Mapping[Who, Identity] = field(default_factory=dict)
    scopes: Mapping[str, Sequence[pulumi.Resource]] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Principal:
    name: str
    id: pulumi.Input[str]
    type: str


class Access(Component):
    """Roles with exact actions, each assigned on the one scope that it is for, narrowed to paths by conditions.

    Nothing is assigned to identities that are referenced, nor on buckets and registries whose address nobody could look up. With
    all identities referenced and nobody in `skylift:access` this makes nothing, and `up` needs no right over roles.
    A role takes minutes to reach every server of Azure's: who asks at once must ask again.
    """

    def __init__(self, name: str, args: AccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.context, opts)
        self._name, self._args = name, args
        rights = bundles(located(grants(args.context), args.ids))
        wanted = {one: self._principals(one.who) for one in rights if one.is_ours}
        custom = roles(Names(args.context), [one for one, whom in wanted.items() if whom])
        made = {role.key: self._role(role) for role in dict.fromkeys(custom.values())}
        self.assignments: list[pulumi.Resource] = []
        for bundle, whom in wanted.items():
            for principal in whom:
                role = custom.get(bundle)
                self.assignments.append(
                    self._assign(bundle, principal, made[role.key].id if role else self._built_in(bundle))
                )
        self.register_outputs({"roles": len(made), "assignments": len(self.assignments)})

    def _principals(self, who: Who) -> list[_Principal]:
        identity = self._args.identities.get(who)
        if identity is not None:
            return [_Principal(name=who, id=identity.principal_id, type="ServicePrincipal")] if identity.is_made else []
        if self._args.identities:
            return []
        if Names(self.context).identity_given(who) is not None:
            return []
        found = []
        for text in principals(self.context, who):
            kind, _, id_ = text.rpartition(":")
            found.append(_Principal(name=f"{who}-{id_}", id=id_, type=TYPES[kind or "user"]))
        return found

    def _role(self, role: Role) -> azure.authorization.RoleDefinition:
        return azure.authorization.RoleDefinition(
            f"{self._name}-{role.key}",
            role_definition_id=role.id,
            role_name=role.name,
            role_type="CustomRole",
            description="; ".join(role.what),
            scope=role.scope,
            assignable_scopes=[role.scope],
            permissions=[
                azure.authorization.PermissionArgs(actions=list(role.actions), data_actions=list(role.data_actions))
            ],
            opts=self.child(depends_on=self._args.scopes.get(role.scope)),
        )

    def _after(self, scope: str) -> list[pulumi.Resource]:
        there = [found for start, found in self._args.scopes.items() if f"{scope}/".startswith(f"{start}/")]
        return [one for found in there for one in found]

    def _built_in(self, bundle: Bundle) -> str:
        subscription = Names(self.context).subscription
        return f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{bundle.built_in}"

    def _assign(self, bundle: Bundle, principal: _Principal, role: pulumi.Input[str]) -> pulumi.Resource:
        # The assignment's own name is what makes it the same one at every `up`; a prefix of it tells scopes apart here.
        stable = bundle.assignment(f"{self.context.base}/{principal.name}")
        return azure.authorization.RoleAssignment(
            f"{self._name}-{principal.name}-on-{bundle.kind.lower()}-{stable[:8]}",
            role_assignment_name=stable,
            scope=bundle.scope,
            role_definition_id=role,
            principal_id=principal.id,
            principal_type=principal.type,
            condition=bundle.condition,
            condition_version="2.0" if bundle.condition else None,
            opts=self.child(depends_on=self._after(bundle.scope)),
        )
