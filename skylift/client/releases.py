"""Which version answers: a pointer in the bucket, replicas that follow it, and what happens when one cannot."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skylift.artifacts import endpoints, models, records
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
    """How far a deployment has come: replicas that serve it of all that live, and the first failure."""

    serving: int
    living: int
    failure: records.Failure | None
    superseded: int | None


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
    from skylift.client.stack import who

    name, address = stack.endpoint(endpoint)
    wanted = models.resolve(stack.keep, model) if isinstance(model, str) else model
    before = serving_now(stack, name)
    notice(f"verifying {wanted.name}:{wanted.version}")
    _verify(stack, wanted, progress)
    if before is not None and before.model.digest == wanted.digest and before.canary is None:
        if wait:
            _settle(stack, name, before, timeout or address.settled, notice)  # nothing to take back: it stood before
        return before
    fallback = _answering(stack, name, before)
    made = endpoints.deploy(stack.keep, name, wanted, by=who(), why=why)
    notice(f"deployment {made.number} recorded")
    if not wait:
        return made
    try:
        _settle(stack, name, made, timeout or address.settled, notice)
    except DeployError as error:
        raise _taken_back(stack, name, made, fallback, error) from None
    return made


def rollback(
    stack: Stack,
    *,
    endpoint: str | None = None,
    to: int | None = None,
    wait: bool = True,
    notice: Notice = lambda text: None,
) -> records.Deployment:
    """Let an endpoint answer with what it served before, or with deployment `to`, as a new deployment.

    What was taken back because it could not be served is passed over. A second rollback undoes the first.

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
    return Standing(
        serving=sum(one.serving == deployment.number and one.state == "serving" for one in living),
        living=len(living),
        failure=failures[0] if failures else None,
        superseded=named if named is not None and named != deployment.number else None,
    )


def replicas(stack: Stack, endpoint: str) -> list[records.ReplicaReport]:
    """What replicas that live report: fresh, and not of a process of this machine that has ended."""
    here = socket.gethostname()
    fresh = [report for report, age in endpoints.list_replicas(stack.work, endpoint) if age < FRESH]
    return [report for report in fresh if report.host != here or born(report.pid) is not None]


def _answering(stack: Stack, endpoint: str, pointed: records.Deployment | None) -> records.Deployment | None:
    """The deployment that replicas serve now; the one that the pointer names may be one that they could not."""
    living = replicas(stack, endpoint)
    if pointed is None or not living:
        return pointed
    if any(pointed.number in (one.serving, one.wanted if one.failure is None else None) for one in living):
        return pointed  # serves, or on its way to
    numbers = [one.serving for one in living if one.serving is not None]
    return endpoints.read_deployment(stack.keep, endpoint, max(numbers)) if numbers else None


def _verify(stack: Stack, wanted: records.ModelRef, progress: Bytes | None) -> None:
    try:
        manifest = models.verify(stack.keep, wanted, progress=progress)
    except UnreachableError:
        raise
    except (InputError, NotFoundError) as error:
        again = "what answers now goes on; publish the version again (`skylift train` or `skylift models add`)"
        raise DeployError(
            f"{wanted.name}:{wanted.version} is refused: {error.message}",
            hint=error.hint if isinstance(error, RecordError) and error.hint else again,
            details={"model": wanted.name, "version": wanted.version, **error.details},
        ) from error
    if manifest.chain:
        parts = ", ".join(f"{part.name}:{part.version}" for part in manifest.chain)
        raise DeployError(
            f"{wanted.name}:{wanted.version} is a chain of {len(manifest.chain)} parts, which no single endpoint can serve",
            hint=f"deploy each part to an endpoint of its own: {parts}",
            details={"model": wanted.name, "version": wanted.version, "parts": parts},
        )


def _settle(stack: Stack, endpoint: str, deployment: records.Deployment, limit: float, notice: Notice) -> None:
    """Wait until every living replica serves the deployment."""
    begun = time.monotonic()
    pause = 0.1 if stack.work.folder is not None else 1.0
    shown = ""
    while True:
        state = standing(stack, endpoint, deployment)
        waited = time.monotonic() - begun
        if state.living and state.serving == state.living:
            return
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


def _taken_back(
    stack: Stack, endpoint: str, made: records.Deployment, before: records.Deployment | None, error: DeployError
) -> DeployError:
    """Point back at what answered before, and say so."""
    from skylift.client.stack import who

    version = f"{made.model.name}:{made.model.version}"
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
