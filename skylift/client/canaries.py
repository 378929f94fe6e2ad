"""Canaries: a new version beside the one that answers, for a share of the requests, until it is promoted or taken away."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skylift.artifacts import consent, models, records
from skylift.artifacts.comparing import CanaryLimits, SideFigures
from skylift.client import releases
from skylift.client.releases import Bytes, Notice
from skylift.errors import CredentialsError, DeployError, InputError, NotFoundError

if TYPE_CHECKING:
    from skylift.client.stack import Stack


@dataclass(frozen=True)
class Progress:
    """How a canary fares on all replicas that live.

    Args:
        serving: replicas on which it answers.
        vetoed: why it gets no request any more; empty while it does.
        stable, canary: what replicas have counted, in all; a latency is that of the slowest replica.
    """

    deployment: int
    model: str
    beside: str
    weight: float
    replicas: int
    serving: int
    vetoed: str
    stable: SideFigures
    canary: SideFigures


def begin(
    stack: Stack,
    model: str | records.ModelRef,
    weight: float,
    *,
    endpoint: str | None = None,
    limits: CanaryLimits | None = None,
    why: str = "",
    wait: bool = True,
    timeout: float | None = None,
    notice: Notice = lambda text: None,
    progress: Bytes | None = None,
) -> records.Deployment:
    """Give a version the share `weight` of the requests that what answers now gets all of; or another share than it has.

    Args:
        weight: 0 to below 1. With 0 only requests that name the version or the label `canary` reach it.
        limits: what it may do worse; default the usual ones.

    Raises:
        NotFoundError: no such version, or nothing answers yet.
        InputError: it answers already, or is a version of another model.
        DeployError: refused, vetoed (VetoedError) or taken back.
        ConflictError, UnreachableError: see releases.deploy().
    """
    name, _ = stack.endpoint(endpoint)
    _check_share(weight)
    wanted = models.resolve(stack.keep, model) if isinstance(model, str) else model
    now, base = releases.serving_now(stack, name), releases.answering(stack, name)
    if base is None:
        raise NotFoundError(
            f"endpoint {name!r} serves nothing yet that a canary could stand beside",
            hint=f"`skylift deploy {wanted.name}:{wanted.version}` lets it answer everything",
        )
    canary = records.Canary(model=wanted, weight=weight, judge=limits)
    _check_fits(base.model, wanted)
    _check_signatures(
        models.read_manifest(stack.keep, base.model), releases.verify(stack, wanted, notice, progress), base.model
    )
    if now is not None and (now.model, now.canary) == (base.model, canary) and not _veto_of(stack, now):
        if wait:
            releases.settle(stack, now, timeout, notice)
        return now
    return releases.release(stack, name, base.model, canary=canary, why=why, wait=wait, timeout=timeout, notice=notice)


def reweigh(
    stack: Stack,
    weight: float,
    *,
    endpoint: str | None = None,
    limits: CanaryLimits | None = None,
    why: str = "",
    wait: bool = True,
    timeout: float | None = None,
    notice: Notice = lambda text: None,
) -> records.Deployment:
    """Give the canary that there is another share. Whoever had it keeps it when the share grows.

    Raises:
        NotFoundError: there is no canary.
        DeployError: it was vetoed.
        InputError, ConflictError, UnreachableError: see begin().
    """
    name, now, canary = _current(stack, endpoint)
    _refuse_vetoed(stack, now, canary, "begins with it anew")
    return begin(
        stack,
        canary.model,
        weight,
        endpoint=name,
        limits=limits or canary.judge,
        why=why,
        wait=wait,
        timeout=timeout,
        notice=notice,
    )


def promote(
    stack: Stack,
    *,
    endpoint: str | None = None,
    force: bool = False,
    why: str = "",
    wait: bool = True,
    timeout: float | None = None,
    notice: Notice = lambda text: None,
) -> records.Deployment:
    """Let the canary answer everything.

    Raises:
        NotFoundError: there is no canary.
        DeployError: it was vetoed, and `force` is false; or a replica cannot serve it, and what answered before is back.
        ConflictError, UnreachableError: see releases.deploy().
    """
    name, now, canary = _current(stack, endpoint)
    if not force:
        _refuse_vetoed(stack, now, canary, "tries it again, --force promotes it all the same")
    releases.verify(stack, canary.model, notice, None)
    why = why or f"promotes the canary of deployment {now.number}"
    return releases.release(stack, name, canary.model, why=why, wait=wait, timeout=timeout, notice=notice)


def veto(
    stack: Stack,
    why: str,
    *,
    endpoint: str | None = None,
    wait: bool = True,
    timeout: float | None = None,
    notice: Notice = lambda text: None,
) -> consent.Veto:
    """End a canary for good: every replica lets the version beside it answer alone. The first veto stands.

    Raises:
        NotFoundError: there is no canary.
        CredentialsError: vetoes are written by replicas, and by whom the stack lets.
        DeployError: a replica goes on with it after `timeout`.
    """
    from skylift.client.stack import who

    name, now, canary = _current(stack, endpoint)
    try:
        made, _ = consent.veto(stack.keep, now, by=who(), why=why, figures=None)
    except CredentialsError as error:
        raise CredentialsError(
            f"you may not veto canaries of endpoint {name!r}: {error.message}",
            hint="whoever may deploy ends it with `skylift rollback`",
        ) from None
    notice(f"deployment {now.number} is vetoed")
    if wait:
        _wait_obeyed(stack, now, canary, timeout or stack.endpoint(name)[1].settled)
    return made


def _wait_obeyed(stack: Stack, now: records.Deployment, canary: records.Canary, limit: float) -> None:
    ends = time.monotonic() + limit
    while True:
        living = [one for one in releases.replicas(stack, now.endpoint) if one.serving == now.number]
        left = [one.replica for one in living if one.canary is not None and one.canary.state != "vetoed"]
        if not left:
            return
        if time.monotonic() > ends:
            raise DeployError(
                f"after {limit:g} s {', '.join(left)} still answers with {_name(canary.model)}; the veto stands recorded",
                hint=f"`skylift status {stack.name}` shows the replicas' own words",
            )
        time.sleep(_pause(stack))


def progress(stack: Stack, endpoint: str | None = None) -> Progress | None:
    """How the canary fares that the endpoint has now; None where it has none."""
    name, _ = stack.endpoint(endpoint)
    now = releases.serving_now(stack, name)
    return progress_of(stack, now, releases.replicas(stack, name)) if now is not None else None


def progress_of(stack: Stack, now: records.Deployment, living: Iterable[records.ReplicaReport]) -> Progress | None:
    """The same from what was read already."""
    if now.canary is None:
        return None
    listed = list(living)
    canaries = [one.canary for one in listed if one.serving == now.number and one.canary is not None]
    vetoed = next((one.why for one in canaries if one.state == "vetoed"), "")
    if not vetoed and (found := _veto_of(stack, now)) is not None:
        vetoed = found.why
    return Progress(
        deployment=now.number,
        model=_name(now.canary.model),
        beside=_name(now.model),
        weight=now.canary.weight,
        replicas=len(listed),
        serving=sum(one.state == "serving" for one in canaries),
        vetoed=vetoed,
        stable=_sum([one.figures.stable for one in canaries]),
        canary=_sum([one.figures.canary for one in canaries]),
    )


def watch(stack: Stack, *, endpoint: str | None = None, seconds: float | None = None) -> Iterator[Progress]:
    """How the canary fares, each time that something is new, until it is vetoed, taken away or promoted, or time is over.

    Raises:
        NotFoundError: there is no canary.
    """
    name, now, _ = _current(stack, endpoint)
    ends = time.monotonic() + seconds if seconds is not None else None
    shown: Progress | None = None
    while True:
        found = progress(stack, name)
        if found is None or found.deployment != now.number:
            return
        if found != shown:
            yield (shown := found)
        if found.vetoed or (ends is not None and time.monotonic() >= ends):
            return
        time.sleep(min(_pause(stack), max(ends - time.monotonic(), 0.0) if ends is not None else 60.0))


def _pause(stack: Stack) -> float:
    return 0.2 if stack.work.folder is not None else 2.0


def _sum(sides: list[SideFigures]) -> SideFigures:
    medians = [one.p50_ms for one in sides if one.p50_ms is not None]
    tails = [one.p99_ms for one in sides if one.p99_ms is not None]
    return SideFigures(
        requests=sum(one.requests for one in sides),
        errors=sum(one.errors for one in sides),
        refusals=sum(one.refusals for one in sides),
        p50_ms=max(medians, default=None),
        p99_ms=max(tails, default=None),
    )


def _current(stack: Stack, endpoint: str | None) -> tuple[str, records.Deployment, records.Canary]:
    name, _ = stack.endpoint(endpoint)
    now = releases.serving_now(stack, name)
    if now is None or now.canary is None:
        raise NotFoundError(
            f"endpoint {name!r} has no canary", hint="`skylift deploy MODEL --canary 10%` gives a version a share"
        )
    return name, now, now.canary


def _veto_of(stack: Stack, now: records.Deployment) -> consent.Veto | None:
    return consent.read_veto(stack.keep, now.endpoint, now.number)


def _refuse_vetoed(stack: Stack, now: records.Deployment, canary: records.Canary, again: str) -> None:
    found = _veto_of(stack, now)
    if found is not None:
        name = _name(canary.model)
        raise DeployError(
            f"{name} was vetoed by {found.by}: {found.why}",
            hint=f"`skylift rollback` takes it away; `skylift deploy {name} --canary` {again}",
            details={"deployment": now.number, "by": found.by, "why": found.why},
        )


def _name(ref: records.ModelRef) -> str:
    return f"{ref.name}:{ref.version}"


# what may stand beside what


def _check_share(weight: float) -> None:
    if not 0 <= weight < 1:
        raise InputError(
            f"a canary's share is 0 to below 1, not {weight:g}", hint="`skylift deploy` without --canary gives it all"
        )


def _check_fits(base: records.ModelRef, wanted: records.ModelRef) -> None:
    if base.digest == wanted.digest:
        raise InputError(
            f"{_name(wanted)} answers already, and cannot be its own canary",
            hint=f"`skylift models show {wanted.name}` lists other versions",
        )
    if base.name != wanted.name:
        raise InputError(
            f"{_name(wanted)} is no version of {base.name}, which answers: requests name the model that they want",
            hint="publish it as a version of that model, or deploy it to an endpoint of its own",
        )


def _check_signatures(base: records.ModelManifest, wanted: records.ModelManifest, ref: records.ModelRef) -> None:
    """A canary gets requests that were made for the version beside it."""
    wrong = [*_lacking(base.signature.inputs, wanted.signature.inputs, "input")]
    known = {one.name for one in base.signature.inputs}
    wrong += [f"it asks for input {one.name!r}" for one in wanted.signature.inputs if one.name not in known]
    wrong += _lacking(base.signature.outputs, wanted.signature.outputs, "output")
    if wrong:
        raise DeployError(
            f"requests to {_name(ref)} do not fit it: {'; '.join(wrong)}",
            hint="deploy it to an endpoint of its own, so that clients can move to it",
            details={"differences": wrong},
        )


def _lacking(before: list[records.TensorSpec], now: list[records.TensorSpec], kind: str) -> Iterator[str]:
    known = {one.name: one for one in now}
    for one in before:
        other = known.get(one.name)
        if other is None:
            yield f"{kind} {one.name!r} is not there"
        elif other.dtype != one.dtype:
            yield f"{kind} {one.name!r} is {other.dtype}, not {one.dtype}"
        elif kind == "input" and not _takes(other.shape, one.shape):
            yield f"{kind} {one.name!r} has shape {other.shape}, not {one.shape}"


def _takes(shape: list[int | None], given: list[int | None]) -> bool:
    return len(shape) == len(given) and all(
        mine is None or mine == theirs for mine, theirs in zip(shape, given, strict=True)
    )
