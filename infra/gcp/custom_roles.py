"""Custom roles of a stack: one for each set of permissions that one identity has, made of the grants. Pure.

A role takes 3,000 permissions, a project 300 roles: https://cloud.google.com/iam/quotas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from infra.context import Context
from infra.gcp import names
from infra.grants import Grant, Who


@dataclass(frozen=True, kw_only=True)
class CustomRole:
    """
    Args:
        project: where it is made, as IAM names it. It holds there and nowhere else.
    """

    who: Who
    permissions: tuple[str, ...]
    project: str


def roles_of(context: Context, grant: Grant, made: Mapping[str, CustomRole]) -> tuple[str, ...]:
    """The roles that make a grant: predefined ones, and the name of the custom one that holds its permissions."""
    roles = tuple(action for action in grant.actions if action.startswith("roles/"))
    if not permissions(grant):
        return roles
    wanted = _role(context, grant)
    return (*roles, f"{wanted.project}/roles/{next(one for one, role in made.items() if role == wanted)}")


def custom_roles(context: Context, found: Iterable[Grant]) -> dict[str, CustomRole]:
    """By id. `_2` where one identity needs two roles of the same service."""
    made: dict[str, CustomRole] = {}
    for grant in found:
        if not permissions(grant):
            continue
        role = _role(context, grant)
        whole = grant.who == "up" and not grant.condition and grant.on == (names.project(context),)
        service = role.permissions[0].partition(".")[0]
        plain = names.role_id(context, grant.who, *(() if whole else (service,)))
        same = [other for one, other in made.items() if re.fullmatch(rf"{plain}(_\d+)?", one)]
        if role not in same:
            made[f"{plain}_{len(same) + 1}" if same else plain] = role
    return made


def merged(found: Iterable[Grant]) -> tuple[Grant, ...]:
    """Grants of one identity with those on the same resources under the same condition as one."""
    made: dict[tuple[object, ...], Grant] = {}
    for grant in found:
        key = (grant.who, grant.on, str(grant.condition))
        before = made.get(key)
        made[key] = replace(grant, actions=tuple(dict.fromkeys((*before.actions, *grant.actions)))) if before else grant
    return tuple(made.values())


def permissions(grant: Grant) -> tuple[str, ...]:
    """Those of its actions that are no predefined role."""
    return tuple(sorted(action for action in grant.actions if not action.startswith("roles/")))


def _role(context: Context, grant: Grant) -> CustomRole:
    named = re.match(r"projects/[^/_-][^/]*", grant.on[0])
    project = named[0] if named and grant.who == "up" else names.project(context)
    return CustomRole(who=grant.who, permissions=permissions(grant), project=project)
