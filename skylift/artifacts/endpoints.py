"""Endpoints: numbered deployments, one pointer that replicas follow, and what the replicas report."""

from __future__ import annotations

import msgspec

from skylift.artifacts import layout, manifests, objects
from skylift.artifacts.records import Canary, Current, Deployment, ModelManifest, ModelRef, ReplicaReport, encode, now
from skylift.errors import DeployError, InputError, not_found
from skylift.store import ObjectChangedError, ObjectExistsError, ObjectNotFoundError, Store, Token

# deployments


def read_current(keep: Store, endpoint: str) -> tuple[Current, Token] | None:
    """Which deployment an endpoint should serve, with the token for replacing it; None before the first."""
    found = objects.find(keep, layout.current(endpoint), Current)
    return (found.record, found.token) if found else None


def read_deployment(keep: Store, endpoint: str, number: int) -> Deployment:
    try:
        return objects.read(keep, layout.deployment(endpoint, number), Deployment).record
    except ObjectNotFoundError:
        known = [str(n) for n in objects.numbered(keep, layout.deployments(endpoint))]
        raise not_found(f"deployment of endpoint {endpoint}", str(number), known) from None


def list_deployments(keep: Store, endpoint: str) -> list[Deployment]:
    """All deployments of an endpoint, oldest first."""
    numbers = objects.numbered(keep, layout.deployments(endpoint))
    return objects.each(lambda number: read_deployment(keep, endpoint, number), numbers)


def deploy(
    keep: Store,
    endpoint: str,
    model: ModelRef,
    *,
    by: str,
    why: str = "",
    takes_back: int | None = None,
    canary: Canary | None = None,
) -> Deployment:
    """Record a deployment under the next number and point the endpoint at it.

    Of two at once both are recorded and the endpoint follows the greater number, whoever writes last.

    Args:
        canary: a second version that gets a share of the requests.
        takes_back: the deployment that could not be served, if this one restores what answered before.

    Raises:
        DeployError: the version does not exist or its manifest is damaged; nothing was written.
    """
    layout.check_name("endpoint", endpoint)
    for ref in (model, *([canary.model] if canary is not None else [])):
        _refuse_unreadable(keep, ref)
    wanted = Deployment(
        endpoint=endpoint, number=0, model=model, canary=canary, created=now(), by=by, why=why, takes_back=takes_back
    )
    made = _record(keep, wanted)
    _point(keep, endpoint, made)
    return made


def _refuse_unreadable(keep: Store, model: ModelRef) -> None:
    try:
        manifests.read_model(keep, model)
    except (ObjectNotFoundError, objects.DamagedError) as error:
        raise DeployError(
            f"{model.name}:{model.version} cannot be deployed: {error.message}",
            hint=f"deploy another version; `skylift models show {model.name}` lists them",
            details={"model": model.name, "digest": model.digest},
        ) from None


def _record(keep: Store, wanted: Deployment) -> Deployment:
    while True:
        number = max(objects.numbered(keep, layout.deployments(wanted.endpoint)), default=0) + 1
        made = msgspec.structs.replace(wanted, number=number)
        try:
            objects.create(keep, layout.deployment(wanted.endpoint, number), made)
            return made
        except ObjectExistsError:
            continue  # another deploy took the number


def _point(keep: Store, endpoint: str, made: Deployment) -> None:
    while True:
        found = read_current(keep, endpoint)
        target = Current(deployment=made.number, changed=now(), by=made.by)
        try:
            if found is None:
                objects.create(keep, layout.current(endpoint), target)
            elif found[0].deployment < made.number:
                keep.replace(layout.current(endpoint), encode(target), found[1])
            return
        except (ObjectExistsError, ObjectChangedError):
            continue  # somebody moved it meanwhile; look again


def list_endpoints(keep: Store) -> list[str]:
    """Names of the endpoints that were ever deployed to, sorted."""
    return list(keep.folders(layout.ENDPOINTS))


def serving(keep: Store) -> dict[str, set[tuple[str, str]]]:
    """For each endpoint the versions, as (model, digest), that its current deployment names, a canary's too, and parts of chains."""
    found = {}
    for endpoint in list_endpoints(keep):
        current = read_current(keep, endpoint)
        if current is not None:
            found[endpoint] = with_parts(keep, named(read_deployment(keep, endpoint, current[0].deployment)))
    return found


def named(deployment: Deployment) -> set[tuple[str, str]]:
    """The versions, as (model, digest), that a deployment names."""
    refs = [deployment.model] + ([deployment.canary.model] if deployment.canary else [])
    return {(ref.name, ref.digest) for ref in refs}


def with_parts(keep: Store, versions: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """These versions, as (model, digest), and the parts of those that are chains."""

    def parts(version: tuple[str, str]) -> list[ModelRef]:
        try:
            return manifests.read_digested(keep, layout.model(*version), ModelManifest).chain
        except (ObjectNotFoundError, InputError):
            return []  # removed or damaged: it names none

    return versions | {(part.name, part.digest) for found in objects.each(parts, sorted(versions)) for part in found}


# replicas


def write_replica(work: Store, report: ReplicaReport) -> None:
    work.put(layout.replica(report.endpoint, report.replica), encode(report))


def list_replicas(work: Store, endpoint: str) -> list[tuple[ReplicaReport, float]]:
    """Reports with their age in seconds by the store's clock, newest first."""
    keys = [found.key for found in work.names(layout.replicas(endpoint)) if found.key.endswith(".json")]
    read = [found for found in objects.each(lambda key: objects.find(work, key, ReplicaReport), keys) if found]
    moment = objects.clock(work) if read else None
    aged = [(found.record, max((moment - found.modified).total_seconds(), 0.0)) for found in read if moment]
    return sorted(aged, key=lambda item: item[1])


def remove_replica(work: Store, endpoint: str, replica: str) -> None:
    work.delete([layout.replica(endpoint, replica)])
