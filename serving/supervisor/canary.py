"""A canary on this replica: loaded beside what answers, compared with it, and gone at the first veto, its own or another's."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from serving import control, log
from serving.supervisor.bucket import Bucket
from serving.supervisor.cache import Cache
from serving.supervisor.pool import LoadError, Pool
from skylift.artifacts import consent
from skylift.artifacts.comparing import CanaryLimits, Comparison
from skylift.artifacts.records import Canary, CanaryReport, CanaryState, Deployment
from skylift.errors import CredentialsError, DeployError, MachineError, SkyliftError, UnreachableError

JUDGE_SECONDS = 1.0
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
MAY_PASS = (UnreachableError, CredentialsError, MachineError)


@dataclass
class _Run:
    """The canary of one deployment, from its fetch to its end."""

    deployment: Deployment
    canary: Canary
    state: CanaryState = "loading"
    why: str = ""
    key: int | None = None
    """Under which the workers have loaded it."""
    figures: Comparison = field(default_factory=Comparison)
    """The last ones of a canary that was vetoed."""
    task: asyncio.Task[None] | None = None

    def answers(self) -> bool:
        return self.state == "serving"

    def is_over(self) -> bool:
        return self.state == "vetoed"


class CanaryRunner:
    """Brings the canary of the deployment that answers, and takes it away.

    Args:
        keys: names loaded versions.
        reroute: has the workers answer by `route` and what else answers.
        changed: called when `report` gives something new.
        replica: who vetoes.
    """

    def __init__(
        self,
        keep: Bucket,
        cache: Cache,
        pool: Pool,
        keys: count[int],
        reroute: Callable[[], Awaitable[None]],
        changed: Callable[[], None],
        replica: str,
    ) -> None:
        self._keep = keep
        self._cache = cache
        self._pool = pool
        self._keys = keys
        self._reroute = reroute
        self._changed = changed
        self._replica = replica
        self._run: _Run | None = None
        self._told = 0

    @property
    def route(self) -> tuple[int, int, float] | None:
        """The canary's version, its key and its share of the requests, while it answers."""
        run = self._run
        if run is None or run.key is None or not run.answers():
            return None
        return run.canary.model.version, run.key, min(max(run.canary.weight, 0.0), 1.0)

    @property
    def digest(self) -> str:
        """Of the canary that answers."""
        return self._run.canary.model.digest if self._run is not None and self.route is not None else ""

    def report(self) -> CanaryReport | None:
        run = self._run
        if run is None:
            return None
        figures = self._pool.trial.figures if run.answers() else run.figures
        return CanaryReport(
            model=run.canary.model, weight=run.canary.weight, state=run.state, why=run.why, figures=figures
        )

    # from one deployment to the next

    async def load_same(self, deployment: Deployment) -> control.Load | None:
        """Where the canary that answers is the next deployment's too: load it for that one, which costs nothing, so that no request
        of its users goes to the other version meanwhile."""
        run = self._run
        if run is None or deployment.canary is None or self.digest != deployment.canary.model.digest:
            return None
        folder = await asyncio.to_thread(self._cache.find, deployment.canary.model)
        if folder is None or await self._vetoed(deployment) is not None:
            return None
        order = self._order(deployment, deployment.canary, folder)
        await self._pool.load(order)
        return order

    def turn_to(self, deployment: Deployment, loaded: control.Load | None) -> list[int]:
        """Leave the canary of before for that of `deployment`, if it has one.

        Returns:
            Keys to unload when nothing is routed to them any more.
        """
        left = self._leave()
        canary = deployment.canary
        if canary is None or canary.model.digest == deployment.model.digest:
            return left  # both sides would be the same
        run = self._run = _Run(deployment, canary)
        self._told = 0
        if loaded is not None:
            run.state, run.key = "serving", loaded.key
        run.task = asyncio.get_running_loop().create_task(self._live(run))
        return left

    def _leave(self) -> list[int]:
        run, self._run = self._run, None
        if run is None:
            return []
        if run.task is not None:
            run.task.cancel()
        return [run.key] if run.key is not None else []

    def end(self) -> None:
        """Stop judging; the replica ends."""
        if self._run is not None and self._run.task is not None:
            self._run.task.cancel()

    # the life of one

    async def _live(self, run: _Run) -> None:
        try:
            if run.state == "loading":
                await self._bring(run)
            if run.answers():
                await self._judge(run)
        except Exception as error:  # a fault of ours: the stable version alone is the safe side
            log.event("internal_error", where=traceback.format_exc())
            await self._stop(run, "failed", f"{type(error).__name__}: {error}")

    async def _bring(self, run: _Run) -> None:
        for attempt in range(10**9):
            try:
                await self._load(run)
                return
            except LoadError as refused:
                problem: SkyliftError = refused.cause
                may_pass = refused.may_pass
            except SkyliftError as error:
                problem, may_pass = error, isinstance(error, MAY_PASS)
            if run.is_over():
                return
            version = f"{run.canary.model.name}:{run.canary.model.version}"
            why = f"{version} cannot be served: {problem.message}"
            log.event("canary_failed", deployment=run.deployment.number, kind=problem.kind, message=problem.message)
            if not may_pass:
                await self._veto(run, why)
                return
            run.state, run.why = "failed", why
            self._changed()
            await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])

    async def _load(self, run: _Run) -> None:
        """
        Raises:
            SkyliftError: it cannot be fetched.
            LoadError: it cannot be loaded.
        """
        deployment, model = run.deployment, run.canary.model
        before = await self._vetoed(deployment)
        if before is not None:
            await self._stop(run, "vetoed", before.why, before.figures)
            return
        if model.name != deployment.model.name:
            raise DeployError(f"it is a version of {model.name}, and requests name {deployment.model.name}")
        log.event("loading", deployment=deployment.number, model=model.name, version=model.version, canary=True)
        folder = await asyncio.to_thread(self._cache.fetch, self._keep.store(), model)
        order = self._order(deployment, run.canary, folder)
        await self._pool.load(order)
        if run.is_over():  # while it was loaded
            self._pool.unload(order.key)
            return
        run.key, run.state, run.why = order.key, "serving", ""
        await self._reroute()
        log.event(
            "serving",
            deployment=deployment.number,
            model=model.name,
            version=model.version,
            canary=True,
            weight=run.canary.weight,
        )
        self._changed()

    async def _judge(self, run: _Run) -> None:
        limits = run.canary.judge or CanaryLimits()
        while run.answers():
            await asyncio.sleep(JUDGE_SECONDS)
            if run.answers() and (why := self._pool.trial.judge(limits)):
                await self._veto(run, why)
                return

    async def _veto(self, run: _Run, why: str) -> None:
        """Obey at once, and let the others know as soon as the bucket takes it."""
        figures = self._pool.trial.figures if run.answers() else None
        await self._stop(run, "vetoed", why, figures)
        for attempt in range(10**9):
            try:
                made, is_first = await asyncio.to_thread(self._write, run, why, figures)
            except SkyliftError as error:
                log.event("veto_not_written", deployment=run.deployment.number, message=error.message, hint=error.hint)
                if not isinstance(error, MAY_PASS):
                    return
                await asyncio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
                continue
            if not is_first:
                run.why = made.why
                self._changed()
            return

    def _write(self, run: _Run, why: str, figures: Comparison | None) -> tuple[consent.Veto, bool]:
        return consent.veto(self._keep.store(), run.deployment, by=f"replica {self._replica}", why=why, figures=figures)

    async def _stop(self, run: _Run, state: CanaryState, why: str, figures: Comparison | None = None) -> None:
        """All requests to the stable version, from the next on."""
        key, run.key = run.key, None
        run.state, run.why, run.figures = state, why, figures or Comparison()
        log.event("canary_stopped", deployment=run.deployment.number, state=state, why=why)
        if key is not None:
            try:
                await self._reroute()
            finally:
                self._pool.unload(key)
        self._changed()

    def _order(self, deployment: Deployment, canary: Canary, folder: Path) -> control.Load:
        model = canary.model
        return control.Load(
            next(self._keys), model.name, model.version, str(folder), model.digest, deployment=deployment.number
        )

    # what others say

    async def look(self) -> None:
        """See whether somebody has vetoed it; to be called at the pointer's pace."""
        run = self._run
        if run is None or run.is_over():
            return
        try:
            veto = await self._vetoed(run.deployment)
        except SkyliftError as error:
            if not isinstance(error, MAY_PASS):
                log.event("veto_not_readable", deployment=run.deployment.number, message=error.message)
                await self._stop(run, "vetoed", f"its veto cannot be read: {error.message}")
            return  # out of reach: our own judgement goes on
        if veto is not None and run is self._run and not run.is_over():
            await self._stop(run, "vetoed", veto.why, veto.figures or self._pool.trial.figures)
        elif run.answers() and self._pool.trial.count != self._told:
            self._told = self._pool.trial.count
            self._changed()

    async def _vetoed(self, deployment: Deployment) -> consent.Veto | None:
        """
        Raises:
            SkyliftError: that cannot be known now.
        """
        return await asyncio.to_thread(self._read_veto, deployment)

    def _read_veto(self, deployment: Deployment) -> consent.Veto | None:
        return consent.read_veto(self._keep.store(), deployment.endpoint, deployment.number)
