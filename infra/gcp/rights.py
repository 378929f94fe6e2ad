"""What who runs `skylift up` on Google Cloud must be allowed: rights_table.py's permissions for what declared.py lists. Pure.

Permissions that a condition on a resource's name can narrow are narrowed; which those are:
https://cloud.google.com/iam/docs/conditions-resource-attributes. What makes a thing, and what lists things, is asked of the project.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from os.path import commonprefix

from infra.context import Context
from infra.gcp import names
from infra.gcp.custom_roles import custom_roles, roles_of
from infra.gcp.declared import is_ours, types
from infra.gcp.rights_table import ALWAYS, ASKED, PERMISSIONS, permissions
from infra.grants import Grant, Who

_SOURCE = "reaper/"
"""Folder of the reaper's code in work."""


def up(context: Context, given: Sequence[Grant]) -> Iterator[Grant]:
    """The rights of who runs `up`.

    Args:
        given: what the stack grants to others.
    """
    asked = permissions(ALWAYS) | permissions(ASKED[context.settings.kind])
    asked = asked.union(*(permissions(PERMISSIONS[token]) for token in types(context, given)))
    if context.settings.disposable:
        asked |= {"storage.objects.list", "storage.objects.delete"}
    for what, ours, expression in _narrowed(context, given):
        held = {one for one in asked if re.fullmatch(ours, one)}
        asked -= held
        if held:
            yield Grant(
                who="up",
                what=what,
                actions=tuple(sorted(held)),
                on=(names.project(context),),
                condition={"title": what, "expression": expression},
            )
    for service in sorted({one.partition(".")[0] for one in asked}):
        yield Grant(
            who="up",
            what=f"make, look at and change what the stack has of {service}",
            actions=tuple(sorted(one for one in asked if one.startswith(f"{service}."))),
            on=(names.project(context),),
            wide="to make or list is asked of the project; the rest has names of Pulumi's, or names that no condition knows",
        )
    yield from _acting(context)
    yield from _elsewhere(context)


def _narrowed(context: Context, given: Sequence[Grant]) -> Iterator[tuple[str, str, str]]:
    """What for, which permissions, and the condition under which they hold."""
    listed = ", ".join(f"'{role}'" for role in _granted_on_project(context, given))
    modified = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly"
    # https://cloud.google.com/iam/docs/setting-limits-on-granting-roles: at most ten roles
    yield (
        "give the stack's roles on the project and no other",
        "resourcemanager.projects.setIamPolicy",
        f"{modified}([{listed}])",
    )
    use = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
    yield (
        "let Google's services use keys and nothing else",
        "cloudkms.cryptoKeys.setIamPolicy",
        f"{modified}(['{use}'])",
    )
    buckets = [names.bucket(context, "keep").resource, names.bucket(context, "work").resource]
    either = " || ".join(f'resource.name == "{one}"' for one in buckets)
    below = [f"{one}/objects/" for one in buckets]
    if not context.settings.disposable:
        below = [names.bucket(context, "work").objects(_SOURCE)]
    else:
        yield "list the buckets of a disposable stack", r"storage\.objects\.list", either
    yield (
        "empty the buckets of a disposable stack" if context.settings.disposable else "upload the reaper's code",
        r"storage\.objects\..+",
        " || ".join(f'resource.name.startsWith("{one}")' for one in below),
    )
    yield "change and remove the stack's buckets", r"storage\.buckets\.(?!create).+", either
    # Google names secrets by the number of their project.
    secrets = f'resource.name.extract("/secrets/{{name}}").startsWith("{context.base}-")'
    yield (
        "change and remove the stack's secrets, without reading them",
        r"secretmanager\.secrets\.(?!create).+",
        secrets,
    )
    place = f"{names.project(context)}/locations/{context.region}"
    logs = f'resource.name == "{place}/buckets/{names.log_bucket(context)}"'
    yield "change and remove the stack's log bucket", r"logging\.buckets\.(?!create).+", logs
    cluster = f'resource.name == "{place}/clusters/{names.cluster(context)}"'
    yield "change the stack's cluster and what is in it", r"container\.(?!clusters\.create|operations).+", cluster
    rules = f'resource.name.startsWith("{names.project(context)}/regions/{context.region}/forwardingRules/{_rules(context)}")'
    yield "change and remove the addresses of endpoints", r"compute\.forwardingRules\.(?!create).+", rules


def _rules(context: Context) -> str:
    """What the names of all endpoints' forwarding rules begin with; long ones are cut."""
    return commonprefix([f"{context.base}-", *(names.forwarding_rule(context, name) for name in context.endpoints)])  # noqa: RUF071 no paths


def _granted_on_project(context: Context, given: Sequence[Grant]) -> list[str]:
    """Roles that the stack gives on its project."""
    here = names.project(context)
    mine = [grant for grant in given if here in grant.on and is_ours(context, grant)]
    return sorted({role for grant in mine for role in roles_of(context, grant, custom_roles(context, given))})


def _acting(context: Context) -> Iterator[Grant]:
    """Identities that the stack gives to machines, functions, nodes and deployed models. Pods take theirs by themselves."""
    given_to: dict[str, tuple[Who, ...]] = {
        "vm": ("host", "serving", "reaper"),
        "cluster": ("nodes",),
        "managed": ("serving",),
    }
    for who in given_to[context.settings.kind]:
        yield Grant(
            who="up",
            what=f"start what runs as {who}",
            actions=("iam.serviceAccounts.actAs",),
            on=(names.account(context, who),),
        )


def _elsewhere(context: Context) -> Iterator[Grant]:
    """What is referenced, and the budget. Roles of a project hold in that project only, so each is made where the thing is.

    A billing account takes roles of the organisation or Google's own, never those of a project:
    https://cloud.google.com/iam/docs/roles-overview#custom-role-limits. What is granted on a bucket of yours needs rights over it.
    """
    settings = context.settings
    if settings.budget.monthly is not None and settings.budget.billing_account is not None:
        yield Grant(
            who="up",
            what="set the budget",
            actions=("roles/billing.costsManager",),
            on=(f"billingAccounts/{settings.budget.billing_account}",),
        )
    if settings.network.id is not None:
        project = _project_of(settings.network.id, context)
        yield _given("look at and use the network", "compute.networks get use", project)
        for subnet in settings.network.subnets:
            path = subnet[subnet.index("projects/") :] if "projects/" in subnet else project
            yield _given("look at and use the subnet", "compute.subnetworks get use", path)
    if settings.registry is not None:
        text = "artifactregistry.repositories get"
        yield _given("look at the registry", text, names.repository(context))
    if context.encryption_key not in ("provider", "stack"):
        yield _given("look at the key", "cloudkms.cryptoKeys get", context.encryption_key)
    for who in names.wanted(context):
        if names.given(context, who) is not None:
            yield _given(f"look at the identity {who}", "iam.serviceAccounts get", names.account(context, who))
    for kind in ("keep", "work"):
        place = names.bucket(context, "keep" if kind == "keep" else "work")
        if not place.own:
            yield _given(f"look at the bucket {kind}", "storage.buckets get", place.resource)


def _given(what: str, text: str, resource: str) -> Grant:
    return Grant(who="up", what=f"{what} that is given", actions=tuple(sorted(permissions(text))), on=(resource,))


def _project_of(path: str, context: Context) -> str:
    found = re.search("projects/[^/]+", path)
    return found[0] if found else names.project(context)
