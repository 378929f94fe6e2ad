"""Many models from folders: looks for versions, has them loaded and unloaded by each model's policy, and routes requests to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from itertools import count
from typing import Any

from serving import control, log
from serving.interface import Code, ModelConfig, StatusError, VersionStatus
from serving.notes import VersionNote
from serving.sources.config import check_reload
from serving.sources.folders import Found, Source
from serving.sources.policy import Mode, check_labels
from serving.sources.reconcile import Action, Load, Reconciler, Unload
from serving.supervisor.pool import LoadError, Pool
from skylift.errors import MachineError, SkyliftError, UnreachableError

LOADS_AT_ONCE = 4
_MAY_PASS = {MachineError.kind, UnreachableError.kind}


class _Model:
    """One model: where it comes from, and what is known of its versions."""

    def __init__(self, config: ModelConfig, source: Source, reconciler: Reconciler) -> None:
        self.config = config
        self.source = source
        self.looking = asyncio.Lock()
        self.reconciler = reconciler
        self.keys: dict[int, int] = {}
        """By version, the key under which the workers know it."""
        self.labels: dict[str, int] = {}
        self.problem = ""
        self.is_off = False
        """Whether somebody asked for it to be unloaded."""
        self.was_seen = False
        self.waiting: Mapping[int, str] = {}
        """Versions that are not whole yet, with the reason."""

    @property
    def is_settled(self) -> bool:
        """Whether all that is to be served answers or was given up."""
        return self.was_seen and self.reconciler.is_settled and (bool(self.reconciler.available) or not self.waiting)


class Library:
    """Serves the models of `configs`, which may change.

    Args:
        source: opens the place of a model's versions.
        poll_seconds: between two looks; 0 for one look only.
        changed: called when anything that a client may see has changed.
    """

    def __init__(
        self,
        configs: Sequence[ModelConfig],
        pool: Pool,
        source: Callable[[ModelConfig], Source],
        changed: Callable[[], None],
        *,
        poll_seconds: float = 1.0,
        mode: Mode = "availability",
        max_retries: int = 5,
        retry_seconds: float = 60.0,
        allow_unavailable_labels: bool = False,
    ) -> None:
        self.is_ready = False
        self._pool = pool
        self._source = source
        self._changed = changed
        self._poll_seconds = poll_seconds
        self._mode: Mode = mode
        self._max_retries = max_retries
        self._retry_seconds = retry_seconds
        self._allow_unavailable_labels = allow_unavailable_labels
        self._models: dict[str, _Model] = {}
        self._leaving: list[_Model] = []
        self._keys = count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loads = asyncio.Semaphore(LOADS_AT_ONCE)
        self._routing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        for config in configs:
            self._models[config.name] = self._new(config)
            self._models[config.name].labels = dict(config.labels)

    def _new(self, config: ModelConfig) -> _Model:
        reconciler = Reconciler(
            config.name, mode=self._mode, max_retries=self._max_retries, retry_seconds=self._retry_seconds
        )
        return _Model(config, self._source(config), reconciler)

    @property
    def configs(self) -> Sequence[ModelConfig]:
        """Of all models, loaded or not."""
        return [model.config for model in self._models.values()]

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            self._wake.clear()
            await asyncio.gather(*(self._look(model) for model in list(self._models.values())))
            self._check_ready()
            await self._rest()

    async def _rest(self) -> None:
        """Until the next look, or until an attempt is due."""
        now = asyncio.get_running_loop().time()
        ends = now + self._poll_seconds if self._poll_seconds > 0 else None
        while ends is None or now < ends:
            due = [at for model in self._all() if (at := model.reconciler.due()) is not None]
            until = min([*due, *([ends] if ends is not None else [])], default=None)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), None if until is None else max(0.001, until - now))
                return
            self._drive_all()
            now = asyncio.get_running_loop().time()

    def _all(self) -> list[_Model]:
        return [*self._models.values(), *self._leaving]

    # looking

    async def _look(self, model: _Model) -> None:
        if model.looking.locked():
            return
        async with model.looking:
            found = await self._found(model)
        if found is None:
            return
        is_news = model.waiting != found.waiting
        model.waiting = found.waiting
        reasons = [f"version {version}: {why}" for version, why in sorted(found.waiting.items())]
        self._tell_problem(model, "; ".join([*reasons, *found.notes]))
        model.reconciler.want({} if model.is_off else found.wanted)
        self._drive(model)
        if is_news:
            self._publish()

    async def _found(self, model: _Model) -> Found | None:
        try:
            return await asyncio.to_thread(model.source.look)
        except SkyliftError as error:
            self._tell_problem(model, f"{error.message} ({error.hint})" if error.hint else error.message)
        except Exception as error:
            self._tell_problem(model, f"{type(error).__name__}: {error}")
        finally:
            model.was_seen = True
        return None

    def _tell_problem(self, model: _Model, message: str) -> None:
        if message != model.problem:
            model.problem = message
            if message:
                log.event("model_waits", model=model.config.name, base_path=model.config.base_path, message=message)

    # doing

    def _drive_all(self) -> None:
        for model in self._all():
            self._drive(model)

    def _drive(self, model: _Model) -> None:
        """Begin all that may begin now."""
        now = asyncio.get_running_loop().time()
        while (action := model.reconciler.next(now)) is not None:
            self._do(self._act(model, action))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _act(self, model: _Model, action: Action) -> None:
        if isinstance(action, Load):
            await self._load(model, action)
        else:
            await self._unload(model, action)
        self._publish()
        self._drive(model)
        if model in self._leaving and model.reconciler.is_gone:
            await self._forget(model)
        with contextlib.suppress(SkyliftError, OSError):
            await asyncio.to_thread(model.source.keep, model.reconciler.folders)
        self._check_ready()

    async def _load(self, model: _Model, action: Load) -> None:
        name, version = action.name, action.version
        log.event("loading", model=name, version=version)
        self._publish()
        now = asyncio.get_running_loop().time
        try:
            key = next(self._keys)
            async with self._loads:
                await self._pool.load(
                    control.Load(key, name, version, str(action.folder), platform=model.config.platform)
                )
        except LoadError as problem:
            error = problem.cause
            may_pass = error.kind in _MAY_PASS
            message = f"{error.message} ({error.hint})" if error.hint else error.message
            model.reconciler.failed(
                version, _code(error), message, now(), is_final=not may_pass, is_elsewhere=problem.may_pass
            )
            log.event(
                "version_failed", model=name, version=version, kind=error.kind, message=error.message, hint=error.hint
            )
            return
        except Exception as error:
            model.reconciler.failed(version, Code.UNKNOWN, f"{type(error).__name__}: {error}", now())
            log.event("version_failed", model=name, version=version, kind="internal", message=str(error), hint="")
            return
        model.keys[version] = key
        model.reconciler.loaded(version)
        await self._reroute()
        log.event("serving", model=name, version=version, backend=self._pool.backend(key))

    async def _unload(self, model: _Model, action: Unload) -> None:
        await self._reroute()  # without it: `available` names it no more
        key = model.keys.pop(action.version, None)
        if key is not None:
            self._pool.unload(key)
        model.reconciler.unloaded(action.version)
        log.event("unloaded", model=action.name, version=action.version)

    async def _reroute(self) -> None:
        async with self._routing:
            await self._pool.switch([route for model in self._all() if (route := _route(model)) is not None])

    # telling

    def _check_ready(self) -> None:
        models = self._models.values()
        # What a service has mounted must answer: a deployment that cannot is the service's to undo.
        is_settled = all(one.is_settled and (one.reconciler.available or not one.config.is_mounted) for one in models)
        if is_settled and not self.is_ready:
            self.is_ready = True  # and stays so until SIGTERM
            answering = sum(bool(model.reconciler.available) for model in self._models.values())
            log.event("ready", models=len(self._models), answering=answering)
            self._publish()
        self._tell_progress()

    def _tell_progress(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()

    def _publish(self) -> None:
        self._pool.tell(is_ready=self.is_ready, notes=self.notes())
        self._changed()
        self._tell_progress()

    def notes(self) -> list[VersionNote]:
        """Every version that does not answer, with those that are not whole yet."""
        notes = []
        for model in self._all():
            known = [one for one in model.reconciler.statuses() if one.state != "AVAILABLE"]
            waiting = {*model.waiting} - {one.version for one in known} - {*model.reconciler.available}
            known += [VersionStatus(version, "START", Code.UNAVAILABLE, model.waiting[version]) for version in waiting]
            notes += [
                VersionNote(
                    name=model.config.name,
                    version=one.version,
                    state=one.state,
                    error_code=one.code.name,
                    error_message=one.message,
                )
                for one in known
            ]
        return notes

    # what clients ask for

    async def load(self, name: str) -> None:
        """Load a model that was unloaded, or its newer versions; returns when they answer.

        Raises:
            StatusError: no such model, or it cannot be loaded.
        """
        model = self._find(name)
        model.is_off = False
        await self._look(model)
        if model.problem and not model.reconciler.available and model.reconciler.is_settled:
            raise StatusError(Code.UNAVAILABLE, f"model {name}: {model.problem}")
        await self._settled([model])

    async def unload(self, name: str) -> None:
        """Unload all versions of a model; it stays known.

        Raises:
            StatusError: no such model.
        """
        model = self._find(name)
        model.is_off = True
        model.reconciler.want({})
        self._drive(model)
        await self._until(lambda: model.reconciler.is_gone)

    async def reload(self, configs: Sequence[ModelConfig]) -> None:
        """Serve exactly these models from now on; returns when all that is new answers.

        Raises:
            StatusError: refused whole.
        """
        self._check(configs)
        wanted = {config.name: config for config in configs}
        for name in [name for name in self._models if name not in wanted]:
            self._leave(self._models.pop(name))
        fresh = [self._take(config) for config in configs]
        await asyncio.gather(*(self._look(model) for model in fresh))
        await self._settled(fresh)
        await self._reroute()
        self._publish()

    async def add(self, config: ModelConfig) -> None:
        """Serve one more model.

        Raises:
            StatusError: there is one of that name, or it cannot be loaded; then it is not there.
        """
        if config.name in self._models:
            raise StatusError(Code.ALREADY_EXISTS, f"model {config.name} is loaded already")
        model = self._take(config)
        try:
            await self.load(config.name)
        except StatusError:
            self._models.pop(config.name, None)
            self._leave(model)
            raise

    async def remove(self, name: str) -> None:
        """Forget a model.

        Raises:
            StatusError: no such model.
        """
        model = self._find(name)
        del self._models[name]
        self._leave(model)
        await self._until(lambda: model.reconciler.is_gone)

    def _find(self, name: str) -> _Model:
        model = self._models.get(name)
        if model is None:
            known = ", ".join(sorted(self._models)) or "none"
            raise StatusError(Code.NOT_FOUND, f"there is no model {name!r}; configured: {known}")
        return model

    def _check(self, configs: Sequence[ModelConfig]) -> None:
        check_reload(configs, [model.config for model in self._models.values()])
        for config in configs:
            before = self._models.get(config.name)
            known = before.reconciler.statuses() if before is not None else []
            check_labels(
                config,
                known,
                before.labels if before is not None else {},
                is_first=False,
                allow_unavailable=self._allow_unavailable_labels,
            )

    def _take(self, config: ModelConfig) -> _Model:
        before = self._models.get(config.name)
        model = self._models[config.name] = self._new(config) if before is None else before
        if before is not None and before.config != config:
            self._do(asyncio.to_thread(model.source.close))
            model.config, model.source = config, self._source(config)
        model.labels = dict(config.labels)
        model.is_off = False
        return model

    def _leave(self, model: _Model) -> None:
        model.reconciler.want({})
        self._leaving.append(model)
        self._drive(model)
        if model.reconciler.is_gone:
            self._do(self._forget(model))

    async def _forget(self, model: _Model) -> None:
        self._leaving.remove(model)
        await asyncio.to_thread(model.source.close)

    async def _settled(self, models: Sequence[_Model]) -> None:
        await self._until(lambda: all(model.is_settled or model.is_off for model in models))
        for model in models:
            failed = [one for one in model.reconciler.statuses() if one.state == "END" and one.code is not Code.OK]
            if failed and not model.reconciler.available:
                raise StatusError(failed[-1].code, failed[-1].message)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            progress: Awaitable[bool] = self._progress.wait()
            await progress


def _route(model: _Model) -> control.Route | None:
    numbers = [version for version in model.reconciler.available if version in model.keys]
    if not numbers:
        return None
    versions = {version: model.keys[version] for version in numbers}
    labels = {label: version for label, version in model.labels.items() if version in versions}
    return control.Route(model.config.name, versions, versions[max(numbers)], labels)


_CODES = {"unreachable": Code.UNAVAILABLE, "credentials": Code.PERMISSION_DENIED, "not_found": Code.NOT_FOUND}


def _code(error: SkyliftError) -> Code:
    return _CODES.get(error.kind, Code.RESOURCE_EXHAUSTED if error.kind == MachineError.kind else Code.UNKNOWN)
