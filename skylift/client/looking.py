"""Whether a stack is what it promises: one look at its buckets, endpoints, replicas and runs."""

from __future__ import annotations

import http.client
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from skylift.artifacts import records, runs
from skylift.client import canaries, releases
from skylift.errors import NotFoundError, SkyliftError
from skylift.store import open_store

if TYPE_CHECKING:
    from skylift.client.stack import Stack
    from skylift.stack.outputs import EndpointOutput

ASKED = 2.0
"""How long an endpoint may take to say that it is well [s]."""


@dataclass(frozen=True)
class Bucket:
    kind: str
    url: str
    there: bool


@dataclass(frozen=True)
class Endpoint:
    """One look at an endpoint.

    `health` is `ready`, `loading` (answers, but is not ready; `failure` says if it cannot become so) or `down`; `no image` where nothing
    can answer yet; `by ssm` and the like where only a cloud's own path leads there. `replicas` counts those that live, `serving` those
    of them that serve the current deployment.
    """

    name: str
    url: str
    health: str
    deployment: int | None
    model: str
    serving: int
    replicas: int
    workers: str
    failure: str
    waiting: str = ""
    """What the deployment waits for before replicas serve it: `approval`."""
    canary: canaries.Progress | None = None


@dataclass(frozen=True)
class View:
    stack: str
    target: str
    owner: str | None
    buckets: tuple[Bucket, ...]
    endpoints: tuple[Endpoint, ...]
    runs: tuple[records.RunSummary, ...]
    drift: tuple[str, ...]
    """What differs from what the stack promises, a sentence each; `up` mends it."""

    def to_dict(self) -> dict[str, Any]:
        plain = asdict(self)
        plain["runs"] = [run.id for run in self.runs]
        return plain


def look(stack: Stack) -> View:
    """Look at everything once.

    Raises:
        ProvisionError: the stack is not up.
    """
    outputs = stack.outputs
    buckets = tuple(
        _bucket(kind, url) for kind, url in (("keep", outputs.buckets.keep), ("work", outputs.buckets.work))
    )
    whole = all(bucket.there for bucket in buckets)
    seen = tuple(_endpoint(stack, name, one, whole) for name, one in outputs.endpoints.items())
    drift = [f"bucket {bucket.kind} is gone: {bucket.url}" for bucket in buckets if not bucket.there]
    drift += [f"endpoint {one.name} does not answer at {one.url}" for one in seen if one.health == "down"]
    return View(
        stack=stack.name,
        target=outputs.target,
        owner=stack.settings.owner,
        buckets=buckets,
        endpoints=seen,
        runs=tuple(live(stack)) if whole else (),
        drift=tuple(drift),
    )


def live(stack: Stack) -> list[records.RunSummary]:
    """Runs of the stack that are at work."""
    at_work = ("queued", "acquiring", "booting", "pulling", "running")
    listed = runs.list_runs(stack.keep, stack.work, limit=200)
    return [run for run in listed if run.stack == stack.name and run.state in at_work]


def _bucket(kind: str, url: str) -> Bucket:
    try:
        open_store(url).folders()
    except NotFoundError:
        return Bucket(kind, url, False)
    return Bucket(kind, url, True)


def _endpoint(stack: Stack, name: str, promised: EndpointOutput, whole: bool) -> Endpoint:
    health = _health(promised)
    try:
        now = releases.serving_now(stack, name) if whole else None
        living = releases.replicas(stack, name) if whole and health != "down" else []
    except SkyliftError as error:
        return Endpoint(name, promised.url, health, None, "", 0, 0, "", error.message)
    waits = next((one.waiting for one in living if now is not None and one.wanted == now.number), "")
    failures = [report.failure.message for report in living if report.failure is not None]
    return Endpoint(
        name=name,
        url=promised.url,
        health=health,
        deployment=now.number if now is not None else None,
        model=f"{now.model.name}:{now.model.version}" if now is not None else "nothing yet",
        serving=sum(1 for one in living if now is not None and one.serving == now.number),
        replicas=len(living),
        workers=f"{sum(one.ready_workers for one in living)}/{sum(one.workers for one in living)} ready",
        failure=failures[0] if failures else "",
        waiting=waits,
        canary=canaries.progress_of(stack, now, living) if now is not None else None,
    )


def _health(promised: EndpointOutput) -> str:
    if not promised.url:
        return "no image"
    if promised.access == "network":
        return "in its network"
    if promised.access != "direct":
        return f"by {promised.access}"
    parts = urlsplit(promised.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ASKED)
    try:
        connection.request("GET", "/readyz")
        return "ready" if connection.getresponse().status == 200 else "loading"
    except (OSError, http.client.HTTPException):
        return "down"
    finally:
        connection.close()
