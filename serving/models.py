"""What a worker has loaded, which of it answers, and what is known of the rest. Lives in the event loop's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from serving import control
from serving.answering import JobMaker, failure
from serving.backends.base import Array, Backend, RunError, parts_of
from serving.batching.batcher import Batcher, BatchOptions, Gate, Outcome, ShedError
from serving.batching.crew import open_batcher
from serving.calls import current
from serving.interface import (
    PREDICT,
    Code,
    ModelConfig,
    Statistics,
    StatusError,
    VersionStatus,
    not_found,
    unknown_label,
)
from serving.notes import VersionNote
from serving.options import WorkerOptions
from serving.reading import read
from serving.signature import DEFAULT_SIGNATURE, ModelSignature
from serving.split import Split
from serving.tally import Tally
from skylift import __version__
from skylift.artifacts.records import ModelManifest

Readiness = Literal["starting", "ready", "draining"]
T = TypeVar("T")


class Loaded:
    """One version in memory. Deployments of the same version share it."""

    def __init__(
        self,
        manifest: ModelManifest | None,
        digest: str,
        backend: Backend,
        options: BatchOptions,
        loop: asyncio.AbstractEventLoop,
        *,
        measured: Mapping[int, float] | None = None,
        gate: Gate | None = None,
        samples: Sequence[Any] = (),
    ) -> None:
        self.manifest = manifest
        self.samples = samples
        self.digest = digest
        self.backend = backend
        self.signatures: Mapping[str, ModelSignature] = backend.signatures
        by_part: dict[int, Batcher] = {}
        self._batchers: dict[str, Batcher] = {}
        for signature, part in parts_of(backend).items():
            if id(part) not in by_part:
                known = measured if signature == DEFAULT_SIGNATURE else None
                by_part[id(part)] = open_batcher(part, options, loop=loop, measured=known, gate=gate)
            self._batchers[signature] = by_part[id(part)]
        self.batchers: Sequence[Batcher] = list(by_part.values())
        self.warm_seconds = 0.0
        self._makers: dict[str, JobMaker] = {}
        self._codecs: dict[tuple[str, str], Any] = {}

    def codec(self, kind: str, signature: str, make: Callable[[ModelSignature], T]) -> T:
        """What a protocol made for a signature, made once."""
        key = (kind, signature)
        if key not in self._codecs:
            self._codecs[key] = make(self.signatures[signature])
        found: T = self._codecs[key]
        return found

    def maker(self, signature: str) -> JobMaker:
        found = self._makers.get(signature)
        if found is None:
            found = self._makers[signature] = JobMaker(self.signatures[signature], signature)
        return found

    def batcher_of(self, signature: str) -> Batcher:
        return self._batchers[signature]

    @property
    def waiting_rows(self) -> int:
        return sum(batcher.waiting_rows for batcher in self.batchers)

    def close(self) -> None:
        """Free it after its last request."""
        for batcher in self.batchers:
            batcher.close()


class Version:
    """A version that can be asked, under its name and number."""

    def __init__(self, key: int, name: str, version: int, loaded: Loaded, deployment: int | None = None) -> None:
        self.key = key
        self.name = name
        self.version = version
        self.loaded = loaded
        self.deployment = deployment
        self.is_canary = False
        self.in_trial = False
        """Whether it is a canary, or what a canary is compared with."""
        self.checks_method_names = False
        self.tally = Tally()
        lines = [f"X-Skylift-Model-Version: {version}\r\n"]
        if deployment is not None:
            lines.append(f"X-Skylift-Deployment: {deployment}\r\n")
        self.headers = "".join(lines).encode()
        self._made: dict[str, Any] = {}

    def made(self, kind: str, make: Callable[[Version], T]) -> T:
        """What a protocol made for this version, made once."""
        if kind not in self._made:
            self._made[kind] = make(self)
        found: T = self._made[kind]
        return found

    @property
    def signatures(self) -> Mapping[str, ModelSignature]:
        return self.loaded.signatures

    @property
    def platform(self) -> str:
        return self.loaded.backend.platform

    def method(self, signature: str) -> str:
        return self.loaded.backend.methods.get(signature, PREDICT)

    def defaults(self, signature: str) -> Mapping[str, Array]:
        return self.loaded.backend.defaults.get(signature, {})

    async def predict(
        self, signature: str, inputs: Mapping[str, Array], deadline: float | None, outputs: Sequence[str] = ()
    ) -> Mapping[str, Array]:
        """See `serving.interface.Servable`."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def done(outcome: Outcome) -> None:
            if not answer.done():
                answer.set_result(outcome)

        maker = self.loaded.maker(signature)
        job = maker.make(inputs, done)
        job.deadline = deadline
        job.outputs = maker.wanted(outputs)
        batcher = self.loaded.batcher_of(signature)
        call = current.get()
        if call is not None:
            call.begin_work(self, signature, job)
        try:
            batcher.submit(job)
        except ShedError as shed:
            raise failure(shed) from None
        try:
            outcome = await answer
        except asyncio.CancelledError:
            batcher.cancel(job)
            raise
        if call is not None:
            call.end_work(job)
        if isinstance(outcome, RunError):
            raise failure(outcome)
        if call is not None:
            call.outputs = outcome
        return outcome


class _Routed:
    """The versions that answer for one model."""

    def __init__(self, route: control.Route, by_key: Mapping[int, Version]) -> None:
        self.labels = route.labels
        self.versions = {number: by_key[key] for number, key in sorted(route.versions.items())}
        self.default = by_key[route.default] if route.default is not None else None
        self.canary = by_key[route.canary] if route.canary is not None else None
        if self.default is not None:
            self.default.in_trial = self.canary is not None
        if self.canary is not None:
            self.canary.is_canary = self.canary.in_trial = True
            self.split = Split(route.weight, self.canary.loaded.digest or str(self.canary.version))


def _draws_canary(routed: _Routed, key: bytes | None, *, draws: bool) -> bool:
    if draws:
        return routed.split.takes_canary(key)
    call = current.get()  # of a handler that is a task, as gRPC's are
    return call is not None and routed.split.takes_canary(call.key)


class Management(Protocol):
    """Who can change what is served: the supervisor, asked over the channel."""

    async def __call__(self, what: str, body: Any) -> str:
        """
        Raises:
            StatusError: it was refused.
        """
        ...


class Models:
    """The versions of one worker: those that answer, and those that are loaded to answer next."""

    def __init__(self, options: WorkerOptions, loop: asyncio.AbstractEventLoop) -> None:
        self.endpoint = options.endpoint
        self.readiness: Readiness = "starting"
        self.notes: list[VersionNote] = []
        self.serial = 0
        """Grows with every change of what answers: whoever keeps something made from it looks here."""
        self.manage: Management | None = None
        self._options = options
        self._loop = loop
        self._by_key: dict[int, Version] = {}
        self._routes: dict[str, _Routed] = {}
        self._only: dict[str, Version] = {}
        self._one_at_a_time = asyncio.Lock()
        self._gate = Gate(options.threads)
        self._changed = asyncio.Event()

    # what the supervisor asks for

    async def load_version(self, order: control.Load) -> Version:
        """Load and warm a version beside what answers now.

        Raises:
            SkyliftError: it cannot be served.
        """
        async with self._one_at_a_time:
            loaded = self._find(order.digest) or await self._read(order)
        version = Version(order.key, order.name, order.version, loaded, order.deployment)
        version.checks_method_names = self._options.checks_method_names
        self._by_key[order.key] = version
        return version

    def switch(self, routes: Sequence[control.Route]) -> None:
        """Let these answer from the next request on; what was asked before is finished by those that answered then."""
        self._routes = {route.name: _Routed(route, self._by_key) for route in routes}
        self._only = {
            name: routed.default
            for name, routed in self._routes.items()
            if routed.default is not None and routed.canary is None
        }
        self.serial += 1
        self._tell_changed()

    def unload_version(self, key: int) -> Version | None:
        """Free a version that does not answer, after its last request; which it was."""
        version = self._by_key.pop(key, None)
        if version is not None and not any(one.loaded is version.loaded for one in self._by_key.values()):
            version.loaded.close()
        return version

    def tell(self, *, is_ready: bool, notes: list[VersionNote]) -> None:
        self.notes = notes
        if is_ready and self.readiness == "starting":
            self.readiness = "ready"
        self._tell_changed()

    def add(self, version: Version) -> None:
        """Take in a version that was loaded elsewhere."""
        self._by_key[version.key] = version

    def version(self, name: str, number: int) -> Version | None:
        """One that answers."""
        routed = self._routes.get(name)
        return routed.versions.get(number) if routed is not None else None

    def all_versions(self) -> Sequence[Version]:
        """Those that answer."""
        return [version for routed in self._routes.values() for version in routed.versions.values()]

    def drained(self) -> None:
        """Tell those who watch that this worker ends."""
        self._tell_changed()

    @property
    def queue_rows(self) -> int:
        return sum(
            loaded.waiting_rows for loaded in {id(one.loaded): one.loaded for one in self._by_key.values()}.values()
        )

    # what protocols ask

    @property
    def is_live(self) -> bool:
        return True

    @property
    def is_ready(self) -> bool:
        return self.readiness == "ready"

    @property
    def server_version(self) -> str:
        return __version__

    def resolve(
        self,
        name: str,
        version: int | None = None,
        label: str | None = None,
        key: bytes | None = None,
        *,
        draws: bool = False,
    ) -> Version:
        """See `serving.interface.Models`.

        Args:
            key: decides between a canary and what it is compared with.
            draws: whether a prediction is asked for, of which a canary has its share; so does every call that is a task.
        """
        routed = self._routes.get(name)
        if routed is None:
            raise self._nothing_serves() or not_found(name, version)
        if label is not None:
            version = routed.labels.get(label)
            if version is None:
                raise unknown_label(label)
        if version is not None:
            found = routed.versions.get(version)
        elif routed.canary is not None and _draws_canary(routed, key, draws=draws):
            found = routed.canary
        else:
            found = routed.default
        if found is None:
            raise not_found(name, version)
        return found

    def _nothing_serves(self) -> StatusError | None:
        """Why not even a name is known here, where that is no fault of the client's."""
        if self._routes:
            return None
        if self.readiness == "starting":
            return StatusError(
                Code.UNAVAILABLE, "starting: the model is being loaded", retry_after=1.0, reason="starting"
            )
        if not self.endpoint:
            return None
        return StatusError(
            Code.UNAVAILABLE,
            f"no_deployment: endpoint {self.endpoint!r} has no deployment yet; `skylift deploy` makes one",
            reason="no_deployment",
        )

    def only_name(self) -> str:
        """The model of a server that has one: contracts whose requests name none mean it.

        Raises:
            StatusError: there is none, or more than one.
        """
        if len(self._routes) == 1:
            return next(iter(self._routes))
        if not self._routes:
            raise self._nothing_serves() or StatusError(Code.NOT_FOUND, "no model is served")
        names = ", ".join(sorted(self._routes))
        raise StatusError(Code.INVALID_ARGUMENT, f"the request names no model, and there are several: {names}")

    def versions(self, name: str) -> Mapping[int, Version]:
        """Those that answer for a model, by number."""
        routed = self._routes.get(name)
        return routed.versions if routed is not None else {}

    def only(self, name: str) -> Version | None:
        """The version that answers all requests that name none, where there is one and no canary: a quick `resolve`."""
        return self._only.get(name)

    def default(self, name: str) -> Version | None:
        """The one that answers where no version is named."""
        routed = self._routes.get(name)
        return routed.default if routed is not None else None

    def labels(self, name: str) -> Mapping[str, int]:
        routed = self._routes.get(name)
        return routed.labels if routed is not None else {}

    def served_names(self) -> Sequence[str]:
        return list(self._routes)

    def statuses(self, name: str) -> Sequence[VersionStatus]:
        known = {number: VersionStatus(number, "AVAILABLE") for number in self.versions(name)}
        for note in self.notes:
            if note.name == name and note.version not in known:
                code = Code[note.error_code]
                known[note.version] = VersionStatus(note.version, note.state, code, note.error_message)
        return [known[number] for number in sorted(known)]

    def names(self) -> Sequence[str]:
        return sorted({*self._routes, *(note.name for note in self.notes)})

    def statistics(self, name: str, version: int | None) -> Sequence[Statistics]:
        if name and (name not in self._routes or (version is not None and version not in self.versions(name))):
            raise not_found(name, version)
        return [
            one.tally.statistics(one.name, one.version)
            for routed in ([self._routes[name]] if name else self._routes.values())
            for one in routed.versions.values()
            if version is None or one.version == version
        ]

    async def load(self, name: str) -> None:
        await self._manage("load", {"name": name})

    async def unload(self, name: str) -> None:
        await self._manage("unload", {"name": name})

    async def reload(self, configs: Sequence[ModelConfig]) -> None:
        await self._manage("reload", {"configs": configs})

    async def _manage(self, what: str, body: Any) -> None:
        if self.manage is None:
            raise StatusError(Code.UNIMPLEMENTED, "models cannot be changed here")
        await self.manage(what, body)

    async def wait_for_change(self) -> None:
        await self._changed.wait()

    def _tell_changed(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # loading

    def _find(self, digest: str) -> Loaded | None:
        if not digest:
            return None
        return next((one.loaded for one in self._by_key.values() if one.loaded.digest == digest), None)

    async def _read(self, order: control.Load) -> Loaded:
        found = await asyncio.to_thread(
            read, Path(order.folder), self._options, order.platform, must_answer=not order.has_answered
        )
        loaded = Loaded(
            found.manifest,
            order.digest,
            found.backend,
            found.batching,
            self._loop,
            measured=found.costs,
            gate=self._gate,
            samples=found.samples,
        )
        loaded.warm_seconds = found.warm_seconds
        return loaded
