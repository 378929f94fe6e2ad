"""Real versions and batchers behind our own HTTP/2, in a thread's event loop. What computes is a line of numpy."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc

from serving.backends.base import Array
from serving.batching.options import BatchOptions
from serving.calls import Call
from serving.control import Route
from serving.grpc.front import Front
from serving.grpc.protos import tensorflow_serving_pb2 as tfs
from serving.grpc.wire.service import Wire
from serving.models import Loaded, Models, Version
from serving.options import WorkerOptions
from serving.signature import ModelSignature, Tensor
from tests.serving.grpc.line_models import Running

PREDICT = "/tensorflow.serving.PredictionService/Predict"
INFER = "/inference.GRPCInferenceService/ModelInfer"


class Twice:
    """y = 2x. `gate` holds it while it is cleared; `rows` is what it computed."""

    name = platform = "numpy"
    concurrency = 1

    def __init__(self, width: int | None = None) -> None:
        self.signatures = {
            "serving_default": ModelSignature(
                (Tensor("x", "float32", (None, width)),), (Tensor("y", "float32", (None, width)),)
            )
        }
        self.methods: Mapping[str, str] = {}
        self.defaults: Mapping[str, Mapping[str, Array]] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.is_inside = threading.Event()
        self.rows: list[float] = []

    def run(
        self, signature: str, inputs: Mapping[str, Array], outputs: Sequence[str] = (), *, deadline: float | None = None
    ) -> dict[str, Array]:
        self.is_inside.set()
        assert self.gate.wait(30)
        self.rows += inputs["x"][:, 0].tolist()
        return {"y": inputs["x"] * 2}

    def close(self) -> None: ...


class Watching:
    """Who is told of calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.ids: list[bytes | str | None] = []

    def begin(self, given: str | bytes | None) -> str:
        self.ids.append(given)
        return "id"

    def done(self, call: Call) -> None:
        self.calls.append(call)


class Served(Running):
    """A server with model `m`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int, wire: Wire, backend: Twice, watching: Watching):
        super().__init__(loop, None, port)  # type: ignore[arg-type]
        self.wire = wire
        self.backend = backend
        self.watching = watching
        self.close_socket: Callable[[], object] = lambda: None

    def do(self, work: Any, seconds: float = 60) -> Any:
        """In the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(seconds)

    def stop_listening(self) -> None:
        """As a worker does before it drains: newcomers go elsewhere."""
        self.in_loop(self.close_socket)

    def ask(self, x: Any, **options: Any) -> Any:
        return self.predict(request(x), **options)


def request(x: Any) -> tfs.PredictRequest:
    import numpy as np

    array = np.asarray(x, np.float32)
    made = tfs.PredictRequest()
    made.model_spec.name = "m"
    proto = made.inputs["x"]
    proto.dtype = 1
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    proto.tensor_content = array.tobytes()
    return made


def models_of(backend: Twice, loop: asyncio.AbstractEventLoop) -> tuple[Models, Loaded]:
    models = Models(WorkerOptions(endpoint="default", threads=1), loop)
    loaded = Loaded(None, "0" * 64, backend, BatchOptions(), loop)
    models.add(Version(1, "m", 1, loaded))
    models.switch([Route("m", {1: 1}, default=1, labels={})])
    models.readiness = "ready"
    return models, loaded


@contextmanager
def served(
    *,
    guard: Any = None,
    tls: ssl.SSLContext | None = None,
    loop_of: Callable[[], asyncio.AbstractEventLoop] | None = None,
    seconds: float = 0.0,
    **options: Any,
) -> Iterator[Served]:
    import uvloop

    loop = (loop_of or uvloop.new_event_loop)()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    backend, watching = Twice(), Watching()

    async def start() -> tuple[Any, Wire, Loaded]:
        models, loaded = models_of(backend, loop)
        wire = Wire(models, Front(guard, watching, seconds), loop=loop, as_content=True, **options)
        return await loop.create_server(wire.connection, "127.0.0.1", 0, ssl=tls), wire, loaded

    server, wire, loaded = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    run = Served(loop, server.sockets[0].getsockname()[1], wire, backend, watching)
    run.close_socket = server.close
    if tls is not None:
        run.channel.close()
    try:
        yield run
    finally:
        backend.gate.set()
        run.channel.close()
        loop.call_soon_threadsafe(server.close)
        run.do(wire.drain(0))
        loop.call_soon_threadsafe(loaded.close)  # where all else of it happens
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        for batcher in loaded.batchers:
            batcher.join()
        loop.close()


def channel(port: int, **options: Any) -> Any:
    return grpc.insecure_channel(f"127.0.0.1:{port}", options=list(options.items()))
