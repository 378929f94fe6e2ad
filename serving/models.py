"""What a worker has loaded, what answers, and what is known of the rest. Lives in the event loop's thread."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

from serving.backends.base import Backend
from serving.batching.batcher import Batcher
from serving.notes import VersionNote
from serving.options import WorkerOptions
from skylift.artifacts.records import ModelManifest, ModelRef

Readiness = Literal["starting", "ready", "draining"]


class Loaded:
    """One version in memory. Deployments of the same version share it."""

    def __init__(
        self,
        manifest: ModelManifest,
        digest: str,
        backend: Backend,
        options: WorkerOptions,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.manifest = manifest
        self.digest = digest
        self.backend = backend
        self.batcher = Batcher(backend, max_batch_rows=options.max_batch_rows, queue_rows=options.queue_rows, loop=loop)


class Served:
    """A deployment and the version that answers for it."""

    def __init__(self, deployment: int, model: ModelRef, loaded: Loaded) -> None:
        self.deployment = deployment
        self.model = model
        self.loaded = loaded
        self.headers = f"X-Skylift-Model-Version: {model.version}\r\nX-Skylift-Deployment: {deployment}\r\n".encode()


class Models:
    """The deployments of one worker: one that answers, and those that are loaded to answer next."""

    def __init__(self, options: WorkerOptions, loop: asyncio.AbstractEventLoop) -> None:
        self.endpoint = options.endpoint
        self.serving: Served | None = None
        self.readiness: Readiness = "starting"
        self.notes: list[VersionNote] = []
        self._options = options
        self._loop = loop
        self._by_deployment: dict[int, Served] = {}
        self._one_at_a_time = asyncio.Lock()

    async def load(self, deployment: int, model: ModelRef, folder: Path) -> Served:
        """Load and warm a version beside what answers now.

        Raises:
            SkyliftError: it cannot be served.
        """
        async with self._one_at_a_time:
            loaded = self._find(model.digest) or await self._read(model, folder)
        served = self._by_deployment[deployment] = Served(deployment, model, loaded)
        return served

    def switch(self, deployment: int) -> None:
        """Let a loaded deployment answer from the next request on; what was asked before is finished by the old one."""
        before = self.serving
        self.serving = self._by_deployment[deployment]
        if before is not None and before.deployment != deployment:
            self.unload(before.deployment)

    def unload(self, deployment: int) -> None:
        """Free a deployment that does not answer, after its last request."""
        served = self._by_deployment.pop(deployment, None)
        if served is not None and not self._find(served.loaded.digest):
            served.loaded.batcher.close()

    def _find(self, digest: str) -> Loaded | None:
        return next((one.loaded for one in self._by_deployment.values() if one.loaded.digest == digest), None)

    async def _read(self, model: ModelRef, folder: Path) -> Loaded:
        manifest, backend = await asyncio.to_thread(read, folder, self._options)
        return Loaded(manifest, model.digest, backend, self._options, self._loop)


def read(folder: Path, options: WorkerOptions) -> tuple[ModelManifest, Backend]:
    """Load a version from its folder and warm it: the slow part, in a thread."""
    from serving.backends.choose import load
    from serving.backends.warm import warm
    from skylift.artifacts import layout
    from skylift.artifacts.records import decode

    path = folder / layout.MANIFEST
    manifest = decode(path.read_bytes(), ModelManifest, str(path))
    backend = load(manifest, folder, options.backend, options.threads)
    warm(backend, options.max_batch_rows)
    return manifest, backend
