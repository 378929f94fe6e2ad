"""Which version answers: a pointer in the bucket, replicas that follow it, and what happens when one cannot."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skylift.artifacts import consent, endpoints, models, records
from skylift.errors import (
    ConflictError,
    DeployError,
    InputError,
    NotFoundError,
    RecordError,
    SkyliftError,
    UnreachableError,
)
from skylift.stack.processes import born

if TYPE_CHECKING:
    from skylift.client.stack import Stack

Notice = Callable[[str], None]
Bytes = Callable[[int, int, str], None]

FRESH = 150.0
"""A replica reports at least once a minute; an older report is of one that is gone [s]."""
SILENCE = 10.0
"""How long to wait for any replica at all [s]."""


@dataclass(frozen=True)
class Standing:
    """How far a deployment has come: replicas that serve it, its canary too, of all that live; the first failure; why its canary was
    vetoed."""

    serving: int
    living: int
    failure: records.Failure | None
    superseded: int | None
    vetoed: str = ""


class VetoedError(DeployError):
    """The canary was vetoed; the version beside it answers alone."""


def deploy(
    stack: Stack,
    model: str | records.ModelRef,
    *,
    endpoint: str | None = None,
    why: str = "",
    wait: bool = True,
    timeout: float | None = None,
    notice: Notice = lambda text: None,
    progress: Bytes | None = None,
) -> records.Deployment:
    """Let an endpoint answer with a version.

    The version is verified first, every byte; then the deployment is recorded and the pointer moved; then replicas load it beside
    what they serve. If one cannot, the pointer goes back to what answered before, unless nothing did.

    Args:
        timeout: how long replicas may take [s]; default what the endpoint promises.

    Raises:
        NotFoundError: no such model or version.
        DeployError: refused, or taken back; `details["restored"]` is the deployment that answers then, None if none does.
        ConflictError: somebody else deployed meanwhile; theirs stands.
        UnreachableError: nobody serves the endpoint.
    """
    name, _ = stack.endpoint(endpoint)
    wanted = models.resolve(stack.keep, model) if isinstance(model, str) else model
    before = serving_now(stack, name)
    verify(stack, wanted, notice, progress)
    if before is not None and before.model.digest == wanted.digest and before.canary is None:
        if wait:
            settle(stack, before, timeout, notice)  # nothing to take back: it stood before
        return before
    return release(stack, name, wanted, why=why, wait=wait, timeout=timeout, notice=notice)


def release(
    stack: Stack,
    endpoint: str,
    model: records.ModelRef,
    *,
    canary: records.Canary | None = None,
    why: str = "",
    wait: bool = True,
    timeout: float | None = None,
    notice: Notice = lambda text: None,
) -> records.Deployment:
    """Record a deployment of verified versions and, unless `wait` is false, wait until replicas serve it or take it back.

    One that needs an approval first is not waited for.

    Raises:
        VetoedError: its canary was vetoed, which stands recorded.
        DeployError, ConflictError, UnreachableError: see deploy().
    """
    from skylift.client.stack import who

    fallback = answering(stack, endpoint)
    made = endpoints.deploy(stack.keep, endpoint, model, by=who(), why=why, canary=canary)
    notice(f"deployment {made.number} recorded")
    if not wait:
        return made
    try:
        settle(stack, made, timeout, notice)
    except VetoedError:
        raise
    except DeployError as error:
        raise _taken_back(stack, endpoint, made, fallback, error) from None
    return made


def awaits_approval(stack: Stack, deployment: records.Deployment) -> bool:
    """Whether replicas do not serve a deployment because nobody has approved it."""
    _, address = stack.endpoint(deployment.endpoint)
    return address.approval and not consent.is_approved(stack.keep, deployment)


def rollback(
    stack: Stack,
    *,
    endpoint: str | None = None,
    to: int | None = None,
    wait: bool = True,
    notice: Notice = lambda text: None,
) -> records.Deployment:
    """Let an endpoint answer with what it served before, or with the version of deployment `to`, as a new deployment.

    While there is a canary, vetoed or not, that is the version beside it, alone. Else what was taken back because it could not be
    served is passed over, and a second rollback undoes the first.

    Raises:
        NotFoundError: there is nothing to go back to.
        DeployError, ConflictError, UnreachableError: see deploy().
    """
    name, _ = stack.endpoint(endpoint)
    now = serving_now(stack, name)
    if now is None:
        raise NotFoundError(f"endpoint {name!r} serves nothing yet", hint="`skylift deploy MODEL` begins")
    if to is not None:
        target = endpoints.read_deployment(stack.keep, name, to)
    elif now.canary is not None:
        target = now
    else:
        known = endpoints.list_deployments(stack.keep, name)
        failed = {one.takes_back for one in known}
        earlier = [
            one
            for one in known
            if one.number < now.number and one.number not in failed and one.model.digest != now.model.digest
        ]
        if not earlier:
            raise NotFoundError(
                f"endpoint {name!r} has served nothing before {now.model.name}:{now.model.version}",
                hint="`skylift deployments` lists what it has served",
            )
        target = max(earlier, key=lambda one: one.number)
    why = f"rollback of deployment {now.number}"
    return deploy(stack, target.model, endpoint=name, why=why, wait=wait, notice=notice)


def serving_now(stack: Stack, endpoint: str) -> records.Deployment | None:
    """The deployment that the pointer names, or None."""
    current = endpoints.read_current(stack.keep, endpoint)
    return endpoints.read_deployment(stack.keep, endpoint, current[0].deployment) if current is not None else None


def standing(stack: Stack, endpoint: str, deployment: records.Deployment) -> Standing:
    """How far a deployment has come, by what replicas report."""
    current = endpoints.read_current(stack.keep, endpoint)
    named = current[0].deployment if current is not None else None
    living = replicas(stack, endpoint)
    failures = [one.failure for one in living if one.wanted == deployment.number and one.failure is not None]
    canaries = [one.canary for one in living if one.serving == deployment.number and one.canary is not None]
    failures += [records.Failure(kind="deploy", message=one.why) for one in canaries if one.state == "failed"]
    return Standing(
        serving=sum(_serves(one, deployment) for one in living),
        living=len(living),
        failure=failures[0] if failures else None,
        superseded=named if named is not None and named != deployment.number else None,
        vetoed=next((one.why for one in canaries if one.state == "vetoed"), ""),
    )


def _serves(report: records.ReplicaReport, deployment: records.Deployment) -> bool:
    if report.serving != deployment.number or report.state != "serving":
        return False
    return deployment.canary is None or (report.canary is not None and report.canary.state == "serving")


def replicas(stack: Stack, endpoint: str) -> list[records.ReplicaReport]:
    """What replicas that live report: fresh, and not of a process of this machine that has ended."""
    here = socket.gethostname()
    fresh = [report for report, age in endpoints.list_replicas(stack.work, endpoint) if age < FRESH]
    return [report for report in fresh if report.host != here or born(report.pid) is not None]


def answering(stack: Stack, endpoint: str) -> records.Deployment | None:
    """The deployment that replicas serve now; the one that the pointer names may be one that they could not, or may not yet."""
    pointed = serving_now(stack, endpoint)
    living = replicas(stack, endpoint)
    if pointed is None or not living:
        return pointed
    if any(one.serving == pointed.number or (one.wanted == pointed.number and _is_coming(one)) for one in living):
        return pointed  # serves, or on its way to
    numbers = [one.serving for one in living if one.serving is not None]
    return endpoints.read_deployment(stack.keep, endpoint, max(numbers)) if numbers else None


def _is_coming(report: records.ReplicaReport) -> bool:
    return report.failure is None and not report.waiting


def verify(stack: Stack, wanted: records.ModelRef, notice: Notice, progress: Bytes | None) -> records.ModelManifest:
    """Check every byte of a version, and of the parts of a chain.

    Raises:
        DeployError: it cannot be served.
    """
    manifest = _verify_one(stack, wanted, wanted, notice, progress)
    for part in manifest.chain:
        _verify_one(stack, part, wanted, notice, progress)
    return manifest


def _verify_one(
    stack: Stack, ref: records.ModelRef, wanted: records.ModelRef, notice: Notice, progress: Bytes | None
) -> records.ModelManifest:
    """A version, or a part of it."""
    notice(f"verifying {ref.name}:{ref.version}")
    try:
        return models.verify(stack.keep, ref, progress=progress)
    except UnreachableError:
        raise
    except (InputError, NotFoundError) as error:
        again = "what answers now goes on; publish the version again (`skylift train` or `skylift models add`)"
        which = "" if ref == wanted else f"its part {ref.name}:{ref.version}: "
        raise DeployError(
            f"{wanted.name}:{wanted.version} is refused: {which}{error.message}",
            hint=error.hint if isinstance(error, RecordError) and error.hint else again,
            details={"model": wanted.name, "version": wanted.version, **error.details},
        ) from error


def settle(stack: Stack, deployment: records.Deployment, timeout: float | None, notice: Notice) -> None:
    """Wait until every living replica serves the deployment. One that needs an approval first is not waited for.

    Raises:
        DeployError, ConflictError, UnreachableError: see deploy().
    """
    endpoint, address = stack.endpoint(deployment.endpoint)
    limit = timeout or address.settled
    if awaits_approval(stack, deployment):
        notice(f"deployment {deployment.number} waits for approval")
        return
    begun = time.monotonic()
    pause = 0.1 if stack.work.folder is not None else 1.0
    shown = ""
    while True:
        state = standing(stack, endpoint, deployment)
        waited = time.monotonic() - begun
        if state.living and state.serving == state.living:
            return
        if state.vetoed:
            assert deployment.canary is not None
            raise _vetoed(deployment, deployment.canary.model, state.vetoed)
        if state.failure is not None:
            raise DeployError(
                f"a replica cannot serve deployment {deployment.number}: {state.failure.message}",
                hint=state.failure.hint or f"`skylift status {stack.name}` shows the replicas' own words",
            )
        if state.superseded is not None:
            raise ConflictError(
                f"deployment {deployment.number} was overtaken by deployment {state.superseded}",
                hint="`skylift deployments` lists who deployed what",
            )
        if not state.living and waited > SILENCE:
            raise UnreachableError(
                f"nobody serves endpoint {endpoint!r}; deployment {deployment.number} stands recorded",
                hint=f"`skylift status {stack.name}` shows what is wrong, `skylift up {stack.name}` mends it",
            )
        if waited > limit:
            raise DeployError(
                f"{state.serving} of {state.living} replicas serve deployment {deployment.number} after {limit:g} s",
                hint=f"`skylift status {stack.name}` shows the replicas' own words; --timeout gives them longer",
            )
        text = f"{state.serving} of {state.living} replicas serve it"
        if text != shown:
            notice(shown := text)
        time.sleep(pause)


def _vetoed(deployment: records.Deployment, canary: records.ModelRef, why: str) -> VetoedError:
    stable = deployment.model
    return VetoedError(
        f"the canary {canary.name}:{canary.version} was vetoed: {why}; {stable.name}:{stable.version} answers alone",
        hint="`skylift rollback` takes the canary off the record, `skylift deployments` shows the figures",
        details={"deployment": deployment.number, "canary": canary.version, "why": why},
    )


def _taken_back(
    stack: Stack, endpoint: str, made: records.Deployment, before: records.Deployment | None, error: DeployError
) -> DeployError:
    """Point back at what answered before, and say so."""
    from skylift.client.stack import who

    new = made.canary.model if made.canary is not None else made.model
    version = f"{new.name}:{new.version}"
    if before is None:
        return DeployError(
            f"{version} cannot be served: {error.message}; nothing was served before, so nothing could be restored",
            hint=error.hint or f"`skylift status {stack.name}` shows the replicas' own words",
            details={"deployment": made.number, "restored": None},
        )
    now = serving_now(stack, endpoint)
    if now is not None and now.number != made.number:
        return DeployError(
            f"{version} cannot be served: {error.message}; deployment {now.number} of somebody else stands meanwhile",
            hint=error.hint or "`skylift deployments` lists who deployed what",
            details={"deployment": made.number, "restored": None},
        )
    try:
        why = f"taken back: {error.message}"
        restored = endpoints.deploy(stack.keep, endpoint, before.model, by=who(), why=why, takes_back=made.number)
    except SkyliftError as second:
        return DeployError(
            f"{version} cannot be served ({error.message}) and the pointer could not be moved back: {second.message}",
            hint="`skylift rollback` tries again",
            details={"deployment": made.number, "restored": None},
        )
    return DeployError(
        f"{version} was taken back: {error.message}; {before.model.name}:{before.model.version} answers",
        hint=error.hint or "`skylift deployments` shows the record",
        details={"deployment": made.number, "restored": restored.number},
    )
