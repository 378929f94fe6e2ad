"""Who may do what on Azure, as data: identity.py makes custom roles and assignments of it, `skylift permissions` prints it.

Names of actions: https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations
Blob operations and the action each asks for: https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory
Not checked against a cloud.

Create-only is `blobs/add/action` without `blobs/write`: Put Blob makes a new blob and is refused where one is. Files that go up in parts
need `write`; records.py tells which, and how records stay out of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from infra.azure import grants_kinds, records
from infra.azure.names import KINDS, Kind, Names
from infra.azure.roles import CONNECTION_APPROVER, CRYPTO_SERVICE_USER, bundles
from infra.context import Context
from infra.grants import Grant, Who

BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
READ, WRITE, ADD, DELETE = f"{BLOBS}/read", f"{BLOBS}/write", f"{BLOBS}/add/action", f"{BLOBS}/delete"
DELETE_VERSION = f"{BLOBS}/deleteBlobVersion/action"
PULL = "Microsoft.ContainerRegistry/registries/pull/read"
SECRET = "Microsoft.KeyVault/vaults/secrets/getSecret/action"  # noqa: S105 the name of an action


def grants(context: Context) -> tuple[Grant, ...]:
    """Every right that the stack gives or needs."""
    names = Names(context)
    found = (*_buckets(names), *_pulls(names), *_secrets(names), *_services(names), *grants_kinds.of(names))
    return tuple(grant for grant in found if grant.who not in _absent(names))


def document(context: Context, who: Who) -> dict[str, Any]:
    """The rights of one identity as role definitions with the assignments that make them real."""
    return {
        "roles": [bundle.document(Names(context)) for bundle in bundles(grants(context)) if bundle.who == who],
        "principals": principals(context, who),
    }


def principals(context: Context, who: Who) -> list[str]:
    """Whom of `access` the settings give this right; empty for the runtime's own identities."""
    access = context.settings.access
    return {
        "launcher": access.train,
        "releaser": access.release,
        "approver": access.approve,
        "caller": access.predict,
        "custodian": access.clean,
    }.get(who, [])


def _absent(names: Names) -> set[str]:
    runtime = {"training", "serving", "host", "reaper", "cluster", "nodes"}
    return runtime - set(names.runtime)


def _blobs(who: Who, what: str, actions: tuple[str, ...], names: Names, kind: Kind, *prefixes: str) -> Grant:
    scope = names.bucket_scope(kind)
    on = tuple(f"{scope}/blobs/{prefix}" for prefix in prefixes) or (scope,)
    return Grant(who=who, what=what, actions=actions, on=on, data=True)


def _files(who: Who, what: str, names: Names, *prefixes: str) -> Grant:
    """Files of keep in parts, records left out."""
    grant = _blobs(who, what, (WRITE,), names, "keep", *prefixes)
    return replace(grant, condition={"StringNotLike": list(records.among(*prefixes))})


def _endpoints(part: str) -> str:
    """Of every endpoint by one pattern: a condition takes 8 KB, whatever their number.

    https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits#azure-rbac-limits
    """
    return f"endpoints/*/{part}"


def _buckets(names: Names) -> Iterator[Grant]:
    yield from _training_and_host(names)
    yield from _serving(names)
    yield from _persons(names)


def _training_and_host(names: Names) -> Iterator[Grant]:
    new, change = (ADD,), (ADD, WRITE)
    yield _blobs("training", "read datasets, code and models", (READ,), names, "keep")
    yield _blobs("training", "write models and results once", new, names, "keep", "models/*", "runs/*")
    yield _files("training", "write files of models in parts", names, records.MODELS)
    yield _blobs("training", "read checkpoints and whether its run is cancelled", (READ,), names, "work")
    yield _blobs(
        "training",
        "write status, events, logs and checkpoints",
        change,
        names,
        "work",
        *(f"{part}/*" for part in ("live", "events", "logs", "checkpoints")),
    )
    yield _blobs("training", "remove checkpoints that newer ones replace", (DELETE,), names, "work", "checkpoints/*")
    yield _blobs("host", "read what its run is", (READ,), names, "keep", "runs/*")
    yield _blobs("host", "read whether its run is cancelled", (READ,), names, "work", "live/*")
    yield _blobs("host", "write the machine's state and logs", change, names, "work", "live/*", "logs/*")


def _serving(names: Names) -> Iterator[Grant]:
    yield _blobs("serving", "read models and what is deployed", (READ,), names, "keep", "models/*", "endpoints/*")
    yield _blobs("serving", "veto a canary once", (ADD,), names, "keep", _endpoints("vetoes/*"))
    yield _blobs(
        "serving", "write what replicas do, and samples", (ADD, WRITE), names, "work", "replicas/*", "samples/*"
    )


def _persons(names: Names) -> Iterator[Grant]:
    for who in ("launcher", "releaser", "approver", "custodian"):
        for kind in KINDS:
            yield _blobs(who, f"read {kind}", (READ,), names, kind)
    asked = ("datasets/*", "code/*", "runs/*", "runs-index/*", "studies/*")
    yield _blobs("launcher", "write datasets, code and runs once", (ADD,), names, "keep", *asked)
    yield _files("launcher", "write files of datasets and code in parts", names, records.DATASETS, records.CODE)
    yield _blobs("launcher", "start and cancel runs", (ADD, WRITE), names, "work", "live/*")
    yield _blobs("releaser", "write deployments once", (ADD,), names, "keep", _endpoints("deployments/*"))
    yield _blobs(
        "releaser", "name the deployment that answers", (ADD, WRITE), names, "keep", _endpoints("current.json")
    )
    yield _blobs("approver", "write consent once", (ADD,), names, "keep", _endpoints("approvals/*"))
    old = ("models/*", "datasets/*", "runs/*", "studies/*", "code/*")
    yield _blobs("custodian", "delete models, datasets and runs", (DELETE, DELETE_VERSION), names, "keep", *old)
    yield _blobs("custodian", "delete what runs left", (DELETE,), names, "work")


def _pulls(names: Names) -> Iterator[Grant]:
    """Who pulls images: on machines their host, in clusters the nodes, on the managed service the identity of the work itself."""
    pulling: dict[str, tuple[Who, ...]] = {
        "vm": ("host", "serving"),
        "cluster": ("nodes",),
        "managed": ("training", "serving"),
    }
    for who in pulling[names.context.settings.kind]:
        yield Grant(who=who, what="pull images", actions=(PULL,), on=(names.registry_scope,))


def _services(names: Names) -> Iterator[Grant]:
    """What key.py and workspace.py grant themselves, for their identities are none of the runtime's."""
    settings = names.context.settings
    if names.key_id is not None:
        yield Grant(
            who="encryption",
            what="use the key for what storage, registry and disks keep",
            actions=(CRYPTO_SERVICE_USER,),
            on=(names.key_id,),
            data=True,
        )
    if settings.kind == "managed" and settings.workspace is None and settings.buckets.keep is None:
        yield Grant(
            who="workspace",
            what="connect its network to keep",
            actions=(CONNECTION_APPROVER,),
            on=(names.account_id("keep"),),
            data=True,
        )


def _secrets(names: Names) -> Iterator[Grant]:
    entries = tuple(names.secret_id(name) for name in names.context.settings.secrets)
    if entries:
        yield Grant(
            who="training", what="read the secrets that its run names", actions=(SECRET,), on=entries, data=True
        )
    keys = tuple(names.secret_id(name) for name in names.secrets if name not in names.context.settings.secrets)
    if keys:
        yield Grant(who="serving", what="read hashes of API keys", actions=(SECRET,), on=keys, data=True)
    certificates = tuple(
        names.certificate_scope(plan.settings.certificate)
        for plan in names.context.endpoints.values()
        if plan.settings.certificate
    )
    if certificates and names.context.settings.kind == "vm":
        yield Grant(
            who="serving", what="read its TLS certificate and key", actions=(SECRET,), on=certificates, data=True
        )
