"""From grants to what Azure takes: custom roles, and conditions that narrow an assignment to paths of a container.

Conditions: https://learn.microsoft.com/azure/storage/blobs/storage-auth-abac-attributes and
https://learn.microsoft.com/azure/role-based-access-control/conditions-format (version 2.0). Pure; not checked against a cloud.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from infra.azure.names import Names, last, stable_id
from infra.grants import Grant, Who

_READ = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
_PATH = "@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path]"
_PREFIX = "@Request[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:prefix]"

CLUSTER_ADMIN = "Azure Kubernetes Service RBAC Cluster Admin"
"""Stands for its own rights: everything inside of a cluster."""
CRYPTO_SERVICE_USER = "Key Vault Crypto Service Encryption User"
"""Stands for its own rights: get, wrap and unwrap, what a service needs of a key that it encrypts with."""
CONNECTION_APPROVER = "Azure AI Enterprise Network Connection Approver"
"""Stands for its own rights: approve private endpoints on what a managed network connects to."""

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
BUILT_IN: Mapping[tuple[str, ...], str] = {
    ("Microsoft.ContainerRegistry/registries/pull/read",): "7f951dda-4ed3-4680-a7ca-43fe172d538d",  # AcrPull
    (CLUSTER_ADMIN,): "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b",
    (CRYPTO_SERVICE_USER,): "e147488a-f6f5-4113-8e2d-b22465e65bf6",
    (CONNECTION_APPROVER,): "b556d68e-0be0-4f35-a333-ad7ee1ce17ea",
}


def role_id(names: Names, name: str) -> str:
    """Resource id of a built-in role, by what BUILT_IN calls it."""
    return f"{names.subscription}/providers/Microsoft.Authorization/roleDefinitions/{BUILT_IN[(name,)]}"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """All rights of one identity on one scope: one role, assigned once to each principal.

    Args:
        paths: of each data action on blobs, the paths it is narrowed to; nothing where it holds for the whole container.
        without: of each data action on blobs, paths among those that it does not hold for.
    """

    who: Who
    scope: str
    what: tuple[str, ...]
    actions: tuple[str, ...]
    data_actions: tuple[str, ...]
    paths: tuple[tuple[str, tuple[str, ...]], ...]
    without: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether the scope is a resource id. A bucket or registry given by its address is its owner's to grant."""
        return self.scope.startswith("/subscriptions/")

    @property
    def built_in(self) -> str | None:
        return BUILT_IN.get((*self.actions, *self.data_actions))

    @property
    def condition(self) -> str | None:
        """What narrows the assignment; None where nothing does."""
        without = dict(self.without)
        return " AND ".join(_clause(action, paths, without.get(action, ())) for action, paths in self.paths) or None

    @property
    def kind(self) -> str:
        """What the scope is: `containers`, `registries`, `secrets`, …"""
        return self.scope.rstrip("/").split("/")[-2]

    def assignment(self, principal: str) -> str:
        return stable_id(self.scope, self.who, principal)

    def document(self, names: Names) -> dict[str, Any]:
        """As `az role definition create` and `az role assignment create` take it."""
        if self.data_actions == (CLUSTER_ADMIN,):
            return {
                "Name": CLUSTER_ADMIN,
                "IsCustom": False,
                "Description": "; ".join(self.what),
                "Actions": [],
                "DataActions": list(self.data_actions),
                "AssignableScopes": ["/"],
                "Scope": self.scope,
            }
        plain: dict[str, Any] = {
            "Name": f"{names.context.base} {self.who} on {last(self.scope)} {names.context.suffix}",
            "Description": "; ".join(self.what),
            "Actions": list(self.actions),
            "DataActions": list(self.data_actions),
            "AssignableScopes": [assignable(self.scope)],
            "Scope": self.scope,
        }
        if self.condition:
            plain |= {"Condition": self.condition, "ConditionVersion": "2.0"}
        return plain


@dataclass(frozen=True, kw_only=True)
class Role:
    """A custom role; scopes of one kind where an identity has the same rights share it."""

    key: str
    name: str
    id: str
    scope: str
    actions: tuple[str, ...]
    data_actions: tuple[str, ...]
    what: tuple[str, ...]


def roles(names: Names, found: Sequence[Bundle]) -> dict[Bundle, Role]:
    """The custom role of each bundle that needs one. Ids are counted in the kind, so that a role whose actions change is changed in
    place."""
    made: dict[tuple[str, ...], dict[tuple[tuple[str, ...], ...], Role]] = {}
    chosen: dict[Bundle, Role] = {}
    groups: dict[str, str] = {}
    for bundle in found:
        if bundle.built_in is None:
            group = assignable(bundle.scope)
            family = made.setdefault((bundle.who, bundle.kind, group), {})
            rights = (bundle.actions, bundle.data_actions)
            if rights not in family:
                role = _role(names, bundle, group, len(family))
                is_apart = groups.setdefault(role.key, group) != group
                family[rights] = _role(names, bundle, group, len(family), is_apart=True) if is_apart else role
            chosen[bundle] = family[rights]
    return chosen


def _role(names: Names, bundle: Bundle, group: str, at: int, *, is_apart: bool = False) -> Role:
    """
    Args:
        is_apart: a role of this key is of another resource group.
    """
    word = last(bundle.scope) if bundle.kind == "containers" else bundle.kind
    key = f"{bundle.who}-{word}" + (f"-{at}" if at and bundle.kind != "containers" else "")
    away = "" if group in (names.group_id, names.runs_group_id) and not is_apart else f"-{stable_id(group)[:8]}"
    return Role(
        key=key.lower() + away,
        name=f"{names.context.base} {key}{away} {names.context.suffix}",
        id=stable_id(names.context.account, names.context.base, key, group, "role"),
        scope=group,
        actions=bundle.actions,
        data_actions=bundle.data_actions,
        what=bundle.what,
    )


def assignable(scope: str) -> str:
    """Where a role for this scope may be assigned: its resource group, the narrowest level that custom roles have."""
    words = scope.split("/")
    return "/".join(words[:5]) if len(words) > 5 and words[3].lower() == "resourcegroups" else scope


def located(found: Iterable[Grant], ids: Mapping[str, str]) -> Iterator[Grant]:
    """The grants with resource ids in place of addresses, where these are known."""
    for grant in found:
        on = []
        for one in grant.on:
            scope, blobs, path = one.partition("/blobs/")
            on.append(f"{ids.get(scope, scope)}{blobs}{path}")
        yield replace(grant, on=tuple(on))


def bundles(found: Iterable[Grant]) -> tuple[Bundle, ...]:
    """Grants joined by identity and scope, in the order of the grants."""
    joined: dict[tuple[Who, str], list[tuple[Grant, list[str]]]] = {}
    for grant in found:
        for scope, paths in _scopes(grant).items():
            joined.setdefault((grant.who, scope), []).append((grant, paths))
    return tuple(_bundle(who, scope, pairs) for (who, scope), pairs in joined.items())


def _scopes(grant: Grant) -> dict[str, list[str]]:
    """Scope -> paths below it."""
    found: dict[str, list[str]] = {}
    for on in grant.on:
        scope, _, path = on.partition("/blobs/")
        found.setdefault(scope, []).extend([path] if path else [])
    return found


def _bundle(who: Who, scope: str, pairs: Sequence[tuple[Grant, list[str]]]) -> Bundle:
    paths: dict[str, list[str] | None] = {}
    without: dict[str, list[str]] = {}
    for grant, below in pairs:
        for action in grant.actions if grant.data else ():
            known = paths.setdefault(action, [])
            paths[action] = None if known is None or not below else [*known, *below]
            without.setdefault(action, []).extend(grant.condition.get("StringNotLike", ()))
    return Bundle(
        who=who,
        scope=scope,
        what=tuple(grant.what for grant, _ in pairs),
        actions=tuple(dict.fromkeys(action for grant, _ in pairs if not grant.data for action in grant.actions)),
        data_actions=tuple(paths),
        paths=tuple((action, tuple(dict.fromkeys(below))) for action, below in paths.items() if below),
        without=tuple((action, tuple(dict.fromkeys(left))) for action, left in without.items() if left),
    )


def _clause(action: str, paths: Sequence[str], without: Sequence[str]) -> str:
    """True for every other action, and for this one on these paths. A listing is known by its prefix instead of a path."""
    there = " OR ".join(f"{_PATH} StringLike '{path}'" for path in paths)
    if without:
        there = " AND ".join([f"({there})", *(f"{_PATH} StringNotLike '{path}'" for path in without)])
    if action != _READ:
        return f"(!(ActionMatches{{'{action}'}}) OR ({there}))"
    listed = " OR ".join(f"{_PREFIX} StringLike '{path}'" for path in paths)
    matches, listing = f"ActionMatches{{'{action}'}}", "SubOperationMatches{'Blob.List'}"
    return f"(!({matches} AND NOT {listing}) OR ({there})) AND (!({matches} AND {listing}) OR ({listed}))"
