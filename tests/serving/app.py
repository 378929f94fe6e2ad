"""The routes without sockets: a real model behind a real batcher, asked in the event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from serving.backends.base import Array, Backend
from serving.backends.onnx import OnnxBackend
from serving.batching.options import BatchOptions
from serving.control import Route
from serving.http.messages import Exchange, Request, Response
from serving.http.routes import Routes
from serving.models import Loaded, Models, Version
from serving.options import WorkerOptions
from serving.signature import ModelSignature, Tensor
from skylift.artifacts.records import Format, ModelManifest, Signature, now

OPTIONS = WorkerOptions(endpoint="default", threads=1, batching=BatchOptions(queue_rows=64, max_batch_rows=8))


class Recorder:
    """A backend that remembers what it was given."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.name = inner.name
        self.signatures = inner.signatures
        self.platform = inner.platform
        self.methods, self.defaults, self.concurrency = inner.methods, inner.defaults, inner.concurrency
        self.inputs: list[Mapping[str, Array]] = []

    def run(
        self,
        signature: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] = (),
        *,
        deadline: float | None = None,
    ) -> dict[str, Array]:
        self.inputs.append(inputs)
        return self.inner.run(signature, inputs, outputs, deadline=deadline)

    def close(self) -> None:
        """The next request uses it again."""


class App:
    """Answers requests with one model. Its answers never hang: each has five seconds."""

    def __init__(
        self, backend: Backend, *, name: str = "m", version: int = 123, options: WorkerOptions = OPTIONS
    ) -> None:
        self.backend: Any = Recorder(backend)
        self._name = name
        self._version = version
        self._options = options

    def ask(
        self, method: str, path: str, body: str | bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        return asyncio.run(self._ask(method, path, body, headers or {}))

    def predict(self, plain: Any) -> Response:
        body = plain if isinstance(plain, str | bytes) else json.dumps(plain)
        return self.ask("POST", f"/v1/models/{self._name}:predict", body)

    async def _ask(self, method: str, path: str, body: str | bytes, headers: Mapping[str, str]) -> Response:
        loop = asyncio.get_running_loop()
        models = Models(self._options, loop)
        loaded = Loaded(_manifest(self._name), "0" * 64, self.backend, self._options.batching, loop)
        models.add(Version(1, self._name, self._version, loaded, deployment=1))
        models.switch([Route(self._name, {self._version: 1}, default=1, labels={"stable": self._version})])
        models.readiness = "ready"
        answer: asyncio.Future[Response] = loop.create_future()
        raw = body.encode() if isinstance(body, str) else body
        lower = {name.lower().encode(): value.encode() for name, value in headers.items()}
        Routes(models, self._options, loop).handle(
            Exchange(Request(method.encode(), path.encode(), lower, raw), answer.set_result)
        )
        try:
            return await asyncio.wait_for(answer, 5)
        finally:
            loaded.close()
            for batcher in loaded.batchers:
                batcher.join()


def of_onnx(
    path: Path, raw: bytes, inputs: Sequence[tuple[str, str]], outputs: Sequence[tuple[str, str]], **options: Any
) -> App:
    """An app for an ONNX model whose inputs and outputs have these names and types; shapes are the file's own."""
    path.write_bytes(raw)
    wanted = ModelSignature(
        tuple(Tensor(name, dtype, (None,)) for name, dtype in inputs),
        tuple(Tensor(name, dtype, (None,)) for name, dtype in outputs),
    )
    return App(OnnxBackend(path, 1, wanted), **options)


def _manifest(name: str) -> ModelManifest:
    return ModelManifest(
        name=name,
        created=now(),
        by="test",
        signature=Signature(inputs=[], outputs=[]),
        formats={"onnx": Format(path="model.onnx")},
        files=[],
    )
