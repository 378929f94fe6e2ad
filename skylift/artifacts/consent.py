"""Who agrees to a deployment, and who ends its canary: records that are written once, by others than the releaser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from skylift.artifacts import endpoints, layout, objects
from skylift.artifacts.comparing import Comparison
from skylift.artifacts.records import Deployment, ModelRef, Record, now
from skylift.errors import ConflictError, InputError, NotFoundError, RecordError
from skylift.store import ObjectExistsError, Store


class Approval(Record, frozen=True, kw_only=True):
    """endpoints/<name>/approvals/<n>.json: somebody's consent to a deployment, for just these versions."""

    endpoint: str
    number: int
    model: str
    """The version's digest."""
    canary: str | None = None
    """The canary's digest."""
    created: datetime
    by: str
    why: str = ""


class Veto(Record, frozen=True, kw_only=True):
    """endpoints/<name>/vetoes/<n>.json: that deployment's canary gets no request any more."""

    endpoint: str
    number: int
    canary: ModelRef
    created: datetime
    by: str
    """The replica that saw it fail, or a person."""
    why: str
    figures: Comparison | None = None
    """What the replica had counted."""


# approvals


def approve(keep: Store, deployment: Deployment, *, by: str, why: str = "") -> Approval:
    """Consent to a deployment. One that has the same consent already is left as it is.

    Raises:
        ConflictError: there is a record under its number that is no consent to these versions.
    """
    approval = Approval(
        endpoint=deployment.endpoint,
        number=deployment.number,
        model=deployment.model.digest,
        canary=deployment.canary.model.digest if deployment.canary is not None else None,
        created=now(),
        by=by,
        why=why,
    )
    try:
        objects.create(keep, layout.approval(deployment.endpoint, deployment.number), approval)
    except ObjectExistsError:
        before = read_approval(keep, deployment.endpoint, deployment.number)
        if before is not None and covers(before, deployment):
            return before
        raise ConflictError(
            f"deployment {deployment.number} has an approval already, and it is for other versions",
            hint="deploy again, which takes the next number, and approve that",
        ) from None
    return approval


def read_approval(keep: Store, endpoint: str, number: int) -> Approval | None:
    found = objects.find(keep, layout.approval(endpoint, number), Approval)
    return found.record if found is not None else None


def covers(approval: Approval, deployment: Deployment) -> bool:
    """Whether it is a consent to this deployment: its number and the digests of both versions."""
    canary = deployment.canary.model.digest if deployment.canary is not None else None
    asked = (deployment.endpoint, deployment.number, deployment.model.digest, canary)
    return (approval.endpoint, approval.number, approval.model, approval.canary) == asked


def is_approved(keep: Store, deployment: Deployment) -> bool:
    """Whether a deployment may serve where approval is asked for.

    It needs a consent of its own, or to let only answer what the approved deployment before it lets answer as its stable version:
    ending a canary changes nothing that needs consent.

    Raises:
        RecordError: a record that is not readable.
    """
    found = read_approval(keep, deployment.endpoint, deployment.number)
    if found is not None and covers(found, deployment):
        return True
    if deployment.canary is not None:
        return False
    before = next(approved_before(keep, deployment.endpoint, deployment.number), None)
    return before is not None and before.model.digest == deployment.model.digest


def approved_before(keep: Store, endpoint: str, number: int) -> Iterator[Deployment]:
    """Deployments before `number` that somebody has consented to, newest first."""
    for earlier in reversed(objects.numbered(keep, layout.approvals(endpoint))):
        if earlier >= number:
            continue
        try:
            deployment = endpoints.read_deployment(keep, endpoint, earlier)
            approval = read_approval(keep, endpoint, earlier)
        except (NotFoundError, RecordError):
            continue  # a consent to what is not there, or not readable, is none
        if approval is not None and covers(approval, deployment):
            yield deployment


# vetoes


def veto(
    keep: Store, deployment: Deployment, *, by: str, why: str, figures: Comparison | None = None
) -> tuple[Veto, bool]:
    """Take a deployment's canary out of service for good, and say whether this veto is the first: the first one stands.

    Raises:
        InputError: it has no canary.
    """
    if deployment.canary is None:
        raise InputError(
            f"deployment {deployment.number} has no canary that could be vetoed", hint="`skylift rollback` goes back"
        )
    made = Veto(
        endpoint=deployment.endpoint,
        number=deployment.number,
        canary=deployment.canary.model,
        created=now(),
        by=by,
        why=why,
        figures=figures,
    )
    try:
        objects.create(keep, layout.veto(deployment.endpoint, deployment.number), made)
    except ObjectExistsError:
        return read_veto(keep, deployment.endpoint, deployment.number) or made, False
    return made, True


def read_veto(keep: Store, endpoint: str, number: int) -> Veto | None:
    found = objects.find(keep, layout.veto(endpoint, number), Veto)
    return found.record if found is not None else None
