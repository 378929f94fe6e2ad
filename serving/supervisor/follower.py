"""Follows the endpoint's pointer: sees a new deployment, fetches and checks it, has it loaded, lets it answer, tells why not."""

from __future__ import annotations

import asyncio
import random
import traceback
from collections.abc import Callable
from itertools import count
from pathlib import Path

from serving import control, log
from serving.contracts.last_copy import LastCopy
from serving.notes import VersionNote
from serving.supervisor.bucket import Bucket
from serving.supervisor.cache import Cache
from serving.supervisor.canary import MAY_PASS, RETRY_SECONDS, CanaryRunner
from serving.supervisor.pool import LoadError, Pool
from skylift.artifacts import consent, endpoints, layout
from skylift.artifacts.objects import DamagedError
from skylift.artifacts.records import CanaryReport, Current, Deployment, Failure, decode
from skylift.errors import CredentialsError, MachineError, NotFoundError, SkyliftError, UnreachableError
from skylift.store import ObjectNotFoundError, Token

FILE_SECONDS = 0.5
REMOTE_SECONDS = 5.0
FIRST_ANSWER_SECONDS = 3.0
"""How long a start waits for the bucket before it begins with its cached copy."""


class Follower:
    """What the replica should serve, and what it does.

    Args:
        changed: called when any of the attributes changed.
        replica: who vetoes a canary that fails.
        asks_approval: whether a deployment may serve only with somebody's consent. The stack says so, never the bucket.
        mounted: a copy that the service has mounted, for a start without the bucket on a machine that has none of its own.
    """

    def __init__(
        self,
        keep: Bucket,
        endpoint: str,
        cache: Cache,
        pool: Pool,
        changed: Callable[[], None],
        *,
        replica: str = "",
        asks_approval: bool = False,
        mounted: LastCopy | None = None,
    ) -> None:
        self.wanted: int | None = None
        self.serving: Deployment | None = None
        self.failure: Failure | None = None
        self.waiting = ""
        """What `wanted` waits for before it may serve."""
        self.is_ready = False
        self._keep = keep
        self._endpoint = endpoint
        self._cache = cache
        self._pool = pool
        self._changed = changed
        self._token: Token | None = None
        self._target: Deployment | None = None
        self._is_settled = True
        self._attempts = 0
        self._retry_at = 0.0
        self._unreachable = ""
        self._one_at_a_time = asyncio.Lock()
        self._keys = count(1)
        self._order: control.Load | None = None
        """By which the version that answers was loaded."""
        self._asks_approval = asks_approval
        self._mounted = mounted
        self._walked_back: int | None = None
        """The deployment in whose place an earlier one was looked for."""
        self._canary = CanaryRunner(keep, cache, pool, self._keys, self._reroute, self._publish, replica)

    @property
    def backend(self) -> str:
        """What computes the version that answers."""
        return self._pool.backend(self._order.key) if self._order is not None else ""

    @property
    def canary(self) -> CanaryReport | None:
        return self._canary.report()

    @property
    def is_loading(self) -> bool:
        """Whether it works towards `wanted`, rather than serving it or having given up."""
        is_under_way = self.failure is None and not self.waiting
        return is_under_way and self.wanted is not None and not self._serves_wanted()

    async def run(self) -> None:
        """Follow for ever."""
        first = asyncio.create_task(self._look_safely())
        done, _ = await asyncio.wait([first], timeout=FIRST_ANSWER_SECONDS)
        if not done:
            await self._begin_from_cache()
            await self._begin_from_mounted()
        try:
            await first
            while True:
                await asyncio.sleep(self._pause())
                await self._look_safely()
        finally:
            self._canary.end()

    def _pause(self) -> float:
        if self._keep.is_files:
            return FILE_SECONDS
        return REMOTE_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311  # jitter, so that replicas do not ask all at once

    async def _look_safely(self) -> None:
        """A fault of ours must not end a server that answers: it is reported, and tried again later."""
        try:
            await self._look()
        except Exception as error:
            log.event("internal_error", where=traceback.format_exc())
            self._fail(SkyliftError(f"{type(error).__name__}: {error}", hint="see the server's log"), may_pass=True)

    async def _look(self) -> None:
        """Ask once, and do what is asked."""
        try:
            changed = await asyncio.to_thread(self._read_pointer)
        except MAY_PASS as error:
            await self._no_answer(error)
        except ObjectNotFoundError:
            self._nothing_wanted()
        except SkyliftError as error:
            self._fail(error, may_pass=False)
            await self._begin_from_cache()
        else:
            self._unreachable = ""
            if changed is not None:
                self._attempts = 0
                self._is_settled = False
                self.waiting = ""
        is_due = asyncio.get_running_loop().time() >= self._retry_at
        if not self._is_settled and self.wanted is not None and is_due:
            await self._pursue(self.wanted)
        if not self._unreachable:
            await self._canary.look()

    def _read_pointer(self) -> Current | None:
        keep = self._keep.store()
        key = layout.current(self._endpoint)
        blob = keep.get_if_changed(key, self._token)
        if blob is None:
            return None
        self._token = blob.token  # also of a record that cannot be read: it is looked at again when it changes
        current = decode(blob.data, Current, keep.where(key))
        self.wanted = current.deployment
        self._retry_at = 0.0
        return current

    async def _no_answer(self, error: SkyliftError) -> None:
        """The bucket cannot be reached: what is loaded goes on; a new replica begins with its copy."""
        if self._unreachable != error.message:
            self._unreachable = error.message
            log.event("bucket_unreachable", message=error.message, hint=error.hint)
        if self.serving is None:
            await self._begin_from_cache()
            await self._begin_from_mounted()
        if self.serving is None:
            self._report(error)

    def _nothing_wanted(self) -> None:
        self._token = None
        self._unreachable = ""
        if self.wanted is None and self.is_ready:
            return
        self.wanted = None
        self.waiting = ""
        self._is_settled = True
        if self.serving is None:
            self.failure = None
            self._ready()
        self._publish()

    # towards what is wanted

    async def _pursue(self, wanted: int) -> None:
        self.failure = None
        self._publish()
        try:
            keep = self._keep.store()
            if self._target is None or self._target.number != wanted:
                self._target = await asyncio.to_thread(endpoints.read_deployment, keep, self._endpoint, wanted)
                self._publish()
            if await self._may_serve(self._target):
                await self._bring(self._target)
        except LoadError as refused:
            self._fail(refused.cause, may_pass=refused.may_pass)
        except SkyliftError as error:
            self._fail(error, may_pass=isinstance(error, MAY_PASS))
        else:
            self._is_settled = not self.waiting
        if self.serving is None:
            await self._begin_from_cache()

    # consent

    async def _may_serve(self, target: Deployment) -> bool:
        """Whether a deployment has the consent that it needs. Until then what was consented to before answers."""
        if not self._asks_approval or await asyncio.to_thread(consent.is_approved, self._keep.store(), target):
            self.waiting = ""
            return True
        if not self.waiting:
            log.event("waiting_for_approval", deployment=target.number)
            self.waiting = "approval"
            self._publish()
        if self.serving is None and self._walked_back != target.number:
            await self._walk_back(target.number)
            self._walked_back = target.number
        return False

    async def _walk_back(self, number: int) -> None:
        """Serve the newest deployment before `number` that has consent and can be served. Where none has, the replica is as ready as
        one without any deployment."""
        known = consent.approved_before(self._keep.store(), self._endpoint, number)
        has_any = False
        while (earlier := await asyncio.to_thread(next, known, None)) is not None:
            has_any = True
            try:
                await self._bring(earlier)
                return
            except LoadError as refused:
                problem: SkyliftError = refused.cause
            except SkyliftError as error:
                if isinstance(error, MAY_PASS):
                    raise
                problem = error
            log.event("earlier_not_served", deployment=earlier.number, kind=problem.kind, message=problem.message)
        if not has_any:
            self._ready()
            self._publish()

    # loading

    async def _bring(self, deployment: Deployment) -> None:
        """Fetch, check, load, warm, switch.

        Raises:
            SkyliftError: it cannot be fetched.
            LoadError: it cannot be loaded.
        """
        if self.serving is not None and self.serving.number == deployment.number:
            return
        log.event(
            "loading", deployment=deployment.number, model=deployment.model.name, version=deployment.model.version
        )
        folder = await asyncio.to_thread(self._cache.fetch, self._keep.store(), deployment.model)
        order = self._order_of(deployment, folder)
        async with self._one_at_a_time:
            await self._pool.load(order)
            before = self.serving
            await self._let_serve(deployment, order, await self._same_canary(deployment))
        await asyncio.to_thread(self._tidy, deployment, before)

    async def _same_canary(self, deployment: Deployment) -> control.Load | None:
        try:
            return await self._canary.load_same(deployment)
        except (SkyliftError, LoadError):
            return None  # it is brought by itself, which tells what is wrong

    async def _let_serve(self, deployment: Deployment, order: control.Load, canary: control.Load | None = None) -> None:
        self.serving = deployment
        before, self._order = self._order, order
        left = self._canary.turn_to(deployment, canary)
        await self._reroute()
        for key in [*left, *([before.key] if before is not None else [])]:
            self._pool.unload(key)
        log.event(
            "serving", deployment=deployment.number, model=deployment.model.name, version=deployment.model.version
        )
        self._ready()
        self._publish()

    async def _reroute(self) -> None:
        """Let what is loaded answer: the stable version, and the canary that has come so far."""
        stable = self._order
        if stable is None:
            return
        versions, labels = {stable.version: stable.key}, {"stable": stable.version}
        canary = self._canary.route
        if canary is None:
            await self._pool.switch([control.Route(stable.name, versions, stable.key, labels)])
            return
        version, key, weight = canary
        versions[version], labels["canary"] = key, version
        await self._pool.switch([control.Route(stable.name, versions, stable.key, labels, key, weight)])

    def _order_of(self, deployment: Deployment, folder: Path) -> control.Load:
        model = deployment.model
        return control.Load(
            next(self._keys), model.name, model.version, str(folder), model.digest, deployment=deployment.number
        )

    def _tidy(self, deployment: Deployment, before: Deployment | None) -> None:
        """Keep this version and the one before it, which a rollback would want."""
        try:
            self._cache.remember(deployment)
            kept = [one for one in (deployment, before) if one is not None]
            self._cache.prune({digest for one in kept for _, digest in endpoints.named(one)})
        except (OSError, SkyliftError) as error:
            log.event("cache_not_tidied", message=str(error))

    async def _begin_from_cache(self) -> None:
        """Serve what served last on this machine, if nothing does yet."""
        deployment = await asyncio.to_thread(self._cache.remembered)
        if self.serving is not None or deployment is None:
            return
        if self.failure is not None and deployment.number == self.wanted:
            return  # it is the very one that failed
        if self.waiting and deployment.number == self.wanted:
            return  # it was served before consent was asked for
        folder = await asyncio.to_thread(self._cache.find, deployment.model)
        if folder is None:
            return
        log.event("starting_from_cache", deployment=deployment.number)
        order = self._order_of(deployment, folder)
        async with self._one_at_a_time:
            await self._serve_copy(deployment, order)

    async def _serve_copy(self, deployment: Deployment, order: control.Load) -> None:
        if self.serving is not None:
            return  # the bucket answered meanwhile
        try:
            await self._pool.load(order)
        except LoadError as refused:
            log.event("cached_copy_failed", message=refused.cause.message)
        else:
            await self._let_serve(deployment, order)

    async def _begin_from_mounted(self) -> None:
        """Serve what the service has mounted until a deployment answers, if nothing does yet."""
        if self._mounted is None or self._answers():
            return
        try:
            found = await asyncio.to_thread(self._mounted.find)
            if found is None:
                return
            async with self._one_at_a_time:
                if self._answers():
                    return  # the bucket answered meanwhile
                order = control.Load(next(self._keys), found.name, found.version, str(found.folder), found.digest)
                await self._pool.load(order)
                log.event("starting_from_mounted", model=found.name, version=found.version)
                self._order = order
                await self._reroute()
        except (SkyliftError, LoadError) as error:
            log.event("mounted_copy_failed", message=str(error))
            return
        self._ready()
        self._publish()

    def _answers(self) -> bool:
        return self._order is not None

    # telling

    def _fail(self, error: SkyliftError, *, may_pass: bool) -> None:
        self._is_settled = not may_pass
        if may_pass:
            pause = RETRY_SECONDS[min(self._attempts, len(RETRY_SECONDS) - 1)]
            self._attempts += 1
            self._retry_at = asyncio.get_running_loop().time() + pause
        self._report(error)
        log.event("deployment_failed", deployment=self.wanted, kind=error.kind, message=error.message, hint=error.hint)

    def _report(self, error: SkyliftError) -> None:
        failure = Failure(kind=error.kind, message=error.message, hint=error.hint)
        if failure != self.failure:
            self.failure = failure
            self._publish()

    def _ready(self) -> None:
        self.is_ready = True  # and stays so until SIGTERM

    def _serves_wanted(self) -> bool:
        return self.serving is not None and self.serving.number == self.wanted

    def _publish(self) -> None:
        self._pool.tell(is_ready=self.is_ready, notes=self._notes())
        self._changed()

    def _notes(self) -> list[VersionNote]:
        target = self._target
        if target is None or target.number != self.wanted or self._serves_wanted() or self.waiting:
            return self._canary_notes()
        model = target.model
        if self.failure is None:
            return [*self._canary_notes(), VersionNote(name=model.name, version=model.version, state="LOADING")]
        code = _CODES.get(self.failure.kind, "UNKNOWN")
        failed = VersionNote(
            name=model.name, version=model.version, state="END", error_code=code, error_message=self.failure.message
        )
        return [*self._canary_notes(), failed]

    def _canary_notes(self) -> list[VersionNote]:
        report = self._canary.report()
        if report is None or report.state == "serving":
            return []
        name, version = report.model.name, report.model.version
        if report.state == "loading":
            return [VersionNote(name=name, version=version, state="LOADING")]
        return [VersionNote(name=name, version=version, state="END", error_code="ABORTED", error_message=report.why)]


_CODES = {
    DamagedError.kind: "DATA_LOSS",
    NotFoundError.kind: "NOT_FOUND",
    UnreachableError.kind: "UNAVAILABLE",
    CredentialsError.kind: "PERMISSION_DENIED",
    MachineError.kind: "RESOURCE_EXHAUSTED",
}
