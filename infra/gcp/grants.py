"""Who may do what of a stack on Google Cloud, as data. access.py makes it real, `skylift permissions` prints it.

Conditions compare the names of objects, so both buckets need uniform access. To list a bucket is one right over the whole of it at
Google: who may read a part sees the names of the rest. docs/permissions.md is generated from here. Not checked against a cloud."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from infra.context import Context
from infra.gcp import custom_roles as custom
from infra.gcp import names
from infra.gcp.custom_roles import merged, roles_of
from infra.gcp.grants_runs import runs
from infra.gcp.rights import up
from infra.grants import Grant, Who

__all__ = ["custom_roles", "document", "grants", "role_name", "roles_of", "roots"]

READ = "roles/storage.objectViewer"
LIST = "roles/storage.legacyBucketReader"
CREATE = "roles/storage.objectCreator"  # without storage.objects.delete, which overwriting needs: create-only
WRITE = "roles/storage.objectUser"
KEY_USE = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
DELETE = ("storage.objects.delete",)
"""https://cloud.google.com/storage/docs/access-control/iam-roles"""


def grants(context: Context) -> tuple[Grant, ...]:
    """Every right that the stack gives or needs. Pure: from the settings alone."""
    there = {*names.wanted(context), "up", "caller", "encryption"}
    given = tuple(grant for grant in (*_people(context), *_programs(context), *runs(context)) if grant.who in there)
    return (*given, *up(context, given))


def document(context: Context, who: Who) -> dict[str, Any]:
    """The rights of one identity: the custom roles to make, and the bindings of roles to resources."""
    mine = [grant for grant in grants(context) if grant.who == who]
    if who == "up":
        mine = list(merged(mine))
    made = custom.custom_roles(context, mine)
    bindings = [
        {"role": role, "resource": root} | ({"condition": dict(grant.condition)} if grant.condition else {})
        for grant in mine
        for role in roles_of(context, grant, made)
        for root in roots(grant)
    ]
    roles = [
        {"name": f"{role.project}/roles/{one}", "includedPermissions": list(role.permissions)}
        for one, role in made.items()
    ]
    return {"roles": roles, "bindings": bindings}


def custom_roles(context: Context) -> dict[str, custom.CustomRole]:
    """The roles that the stack may have to make, by id."""
    return custom.custom_roles(context, (grant for grant in grants(context) if grant.who != "up"))


def role_name(context: Context, identifier: str) -> str:
    return f"{names.project(context)}/roles/{identifier}"


def roots(grant: Grant) -> tuple[str, ...]:
    """The resources whose policies hold the grant: of objects their bucket."""
    return tuple(dict.fromkeys(one.partition("/objects/")[0] for one in grant.on))


def under(place: names.Place, *prefixes: str, end: str = "") -> dict[str, Any]:
    """`on` and `condition` of a grant over the objects under prefixes, or of those names under a prefix that end so."""
    starts = [place.objects(prefix) for prefix in prefixes]
    expression = " || ".join(f'resource.name.startsWith("{start}")' for start in starts)
    if end:
        expression = f'{expression} && resource.name.endsWith("{end}")'
    title = " ".join(prefix.rstrip("/") for prefix in prefixes) + end
    return {
        "on": tuple(f"{start}*{end}" for start in starts),
        "condition": {"title": title, "expression": expression},
    }


def of_endpoints(place: names.Place, folder: str) -> dict[str, Any]:
    """`on` and `condition` of a grant over one folder of every endpoint, whatever their number: IAM takes twelve operators.

    https://cloud.google.com/iam/docs/conditions-attribute-reference#extract
    """
    start = place.objects("endpoints/")
    named = f'resource.name.extract("/objects/{place.folder}endpoints/{{name}}/{folder}/") != ""'
    expression = f'resource.name.startsWith("{start}") && {named}'
    return {"on": (f"{start}*/{folder}/*",), "condition": {"title": f"endpoints {folder}", "expression": expression}}


def _people(context: Context) -> Iterator[Grant]:
    keep, work = names.bucket(context, "keep"), names.bucket(context, "work")
    made = ("datasets/", "code/", "runs/", "runs-index/")
    yield Grant(who="launcher", what="record datasets, code and runs", actions=(CREATE,), **under(keep, *made))
    yield Grant(
        who="launcher", what="read records and models", actions=(READ,), **under(keep, *made, "models/", "endpoints/")
    )
    # Apart from the grants above, for a changed condition replaces the grant of a stack that has it already.
    yield Grant(who="launcher", what="record studies", actions=(CREATE,), **under(keep, "studies/"))
    yield Grant(who="launcher", what="read studies", actions=(READ,), **under(keep, "studies/"))
    yield Grant(who="launcher", what="cancel runs and tell their state", actions=(WRITE,), **under(work, "live/"))
    yield Grant(
        who="launcher",
        what="follow runs",
        actions=(READ,),
        **under(work, "events/", "logs/", "checkpoints/", "replicas/"),
    )
    yield Grant(
        who="releaser",
        what="record deployments",
        actions=(CREATE,),
        **of_endpoints(keep, "deployments"),
    )
    yield Grant(
        who="releaser",
        what="move the pointer of an endpoint",
        actions=(WRITE,),
        **under(keep, "endpoints/", end="/current.json"),
    )
    yield Grant(
        who="releaser", what="read models and releases", actions=(READ,), **under(keep, "models/", "endpoints/")
    )
    yield Grant(who="releaser", what="see what replicas serve", actions=(READ,), **under(work, "replicas/"))
    yield Grant(who="approver", what="record approvals", actions=(CREATE,), **of_endpoints(keep, "approvals"))
    yield Grant(
        who="approver", what="read models and releases", actions=(READ,), **under(keep, "models/", "endpoints/")
    )
    yield from _custodian(keep, work)
    yield from _lists(keep, work, ("launcher", "releaser", "approver", "custodian"))


def _custodian(keep: names.Place, work: names.Place) -> Iterator[Grant]:
    kept = ("datasets/", "code/", "runs/", "runs-index/", "models/")
    passing = ("live/", "events/", "logs/", "checkpoints/", "replicas/", "samples/")
    yield Grant(who="custodian", what="delete models, datasets and runs", actions=DELETE, **under(keep, *kept))
    yield Grant(who="custodian", what="delete studies", actions=DELETE, **under(keep, "studies/"))
    yield Grant(who="custodian", what="delete what runs left", actions=DELETE, **under(work, *passing))
    yield Grant(
        who="custodian",
        what="see what is deployed before deleting",
        actions=(READ,),
        **under(keep, *kept, "endpoints/"),
    )
    yield Grant(who="custodian", what="see what runs left", actions=(READ,), **under(work, *passing))


def _programs(context: Context) -> Iterator[Grant]:
    keep, work = names.bucket(context, "keep"), names.bucket(context, "work")
    yield Grant(
        who="training", what="read data, code, runs and models", actions=(READ,),
        **under(keep, "datasets/", "code/", "runs/", "models/"),
    )  # fmt: skip
    yield Grant(who="training", what="record models and results", actions=(CREATE,), **under(keep, "models/", "runs/"))
    yield Grant(
        who="training", what="write state, events, logs and checkpoints", actions=(WRITE,),
        **under(work, "live/", "events/", "logs/", "checkpoints/"),
    )  # fmt: skip
    yield Grant(
        who="serving", what="read models and deployments", actions=(READ,), **under(keep, "models/", "endpoints/")
    )
    yield Grant(who="serving", what="veto deployments", actions=(CREATE,), **of_endpoints(keep, "vetoes"))
    yield Grant(who="serving", what="tell what it serves", actions=(WRITE,), **under(work, "replicas/", "samples/"))
    yield Grant(who="host", what="read the run it was started for", actions=(READ,), **under(keep, "runs/"))
    yield Grant(who="host", what="tell the state of its machine", actions=(WRITE,), **under(work, "live/", "logs/"))
    yield from _lists(keep, work, ("training", "serving", "host"))
    yield from _secrets(context)
    yield from _encryption(context)
    yield from _services(context)


def _lists(keep: names.Place, work: names.Place, identities: Iterable[Who]) -> Iterator[Grant]:
    for who in identities:
        yield Grant(
            who=who,
            what="list both buckets, which Google grants as a whole only",
            actions=(LIST,),
            on=(keep.resource, work.resource),
            wide="storage.objects.list is a right over a bucket: https://cloud.google.com/storage/docs/access-control/iam-permissions",
        )


def _secrets(context: Context) -> Iterator[Grant]:
    for name, identifier in names.secrets(context).items():
        yield Grant(
            who="serving" if name.startswith("api-keys-") else "training",
            what=f"read the entry {name}",
            actions=("roles/secretmanager.secretAccessor",),
            on=(names.secret_resource(context, identifier),),
        )


def _encryption(context: Context) -> Iterator[Grant]:
    """key.py grants it to Google's own agents, which are known once their services are on. Of a key of yours its owner does."""
    if context.encryption_key == "stack":
        yield Grant(
            who="encryption",
            what="let Google's agents of storage, registry, secrets, machines and endpoints encrypt and decrypt what they keep",
            actions=(KEY_USE,),
            on=(f"{names.project(context)}/locations/{context.region}/keyRings/*/cryptoKeys/*",),
            wide="granted on the stack's own key, whose name is known once it is there",
        )


def _services(context: Context) -> Iterator[Grant]:
    logs: tuple[Who, ...] = ("training", "serving", "host", "reaper")
    for who in logs:
        yield Grant(
            who=who,
            what="write logs and metrics",
            actions=("roles/logging.logWriter", "roles/monitoring.metricWriter"),
            on=(names.project(context),),
            wide="both are granted on projects only",
        )
    for who in _pulling(context):
        yield Grant(
            who=who,
            what="pull the two images",
            actions=("roles/artifactregistry.reader",),
            on=(names.repository(context),),
        )


def _pulling(context: Context) -> tuple[Who, ...]:
    """Who pulls images: machines, nodes of a cluster; for Vertex AI its own agent, which has a role in its project."""
    by_kind: dict[str, tuple[Who, ...]] = {"vm": ("host", "serving"), "cluster": ("nodes",), "managed": ()}
    return by_kind[context.settings.kind]
