"""A registry for tests only: models in memory that compute y = 2x + 1 by numpy. Everything around it is real."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest

from serving.backends.base import Array
from serving.grpc.protos import inference_pb2 as v2
from serving.grpc.protos import tensorflow_serving_pb2 as tfs
from serving.grpc.wire.service import Wire
from serving.interface import (
    CLASSIFY,
    PREDICT,
    REGRESS,
    BatchStatistics,
    Code,
    Duration,
    ModelConfig,
    Servable,
    Statistics,
    StatusError,
    VersionStatus,
    not_found,
    unknown_label,
)
from serving.signature import ModelSignature, Tensor

Compute = Callable[[Mapping[str, Array]], dict[str, Array]]

SIGNATURES: dict[str, tuple[ModelSignature, str, Compute]] = {}


def _signature(name: str, method: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], compute: Compute) -> None:
    SIGNATURES[name] = (ModelSignature(tuple(inputs), tuple(outputs)), method, compute)


def _typed(dtype: str) -> None:
    def compute(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {"y": inputs["x"]}

    _signature(f"echo_{dtype}", PREDICT, [Tensor("x", dtype, None)], [Tensor("y", dtype, None)], compute)


def _line(inputs: Mapping[str, Array]) -> dict[str, Array]:
    return {"y": inputs["x"] * 2 + 1, "half": inputs["x"] / 2}


def _lengths(inputs: Mapping[str, Array]) -> dict[str, Array]:
    scores = np.array([[len(one), 1] for one in inputs["inputs"]], np.float32)
    classes = np.empty(scores.shape, object)
    classes[:] = [[b"long", b"one"]] * len(scores)
    return {"scores": scores, "classes": classes}


X = Tensor("x", "float32", (None, 2))
TEXT = Tensor("inputs", "string", (None,))
SCORES = Tensor("scores", "float32", (None, 2))
_signature(
    "serving_default", PREDICT, [X], [Tensor("y", "float32", (None, 2)), Tensor("half", "float32", (None, 2))], _line
)
_signature("sum", PREDICT, [X, Tensor("z", "float32", (None, 2))], [X], lambda i: {"x": i["x"] + i["z"]})
_signature("classify", CLASSIFY, [TEXT], [SCORES, Tensor("classes", "string", (None, 2))], _lengths)
_signature("columns", CLASSIFY, [X], [SCORES], lambda i: {"scores": i["x"] * 2 + 1})
_signature(
    "regress",
    REGRESS,
    [TEXT],
    [Tensor("outputs", "float32", (None, 1))],
    lambda i: {"outputs": np.array([[len(one)] for one in i["inputs"]], np.float32)},
)
for _dtype in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"):
    _typed(_dtype)
for _dtype in ("uint64", "bool", "string", "complex64", "complex128"):
    _typed(_dtype)


class Line:
    platform = "numpy"

    checks_method_names = True

    def __init__(self, name: str, version: int) -> None:
        self.name = name
        self.version = version
        self.signatures = {name: signature for name, (signature, _, _) in SIGNATURES.items()}
        self.deadlines: list[float | None] = []
        self.error: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.was_cancelled = threading.Event()

    def method(self, signature: str) -> str:
        return SIGNATURES[signature][1]

    def defaults(self, signature: str) -> Mapping[str, Array]:
        return {}

    async def predict(
        self, signature: str, inputs: Mapping[str, Array], deadline: float | None, outputs: Sequence[str] = ()
    ) -> Mapping[str, Array]:
        self.deadlines.append(None if deadline is None else deadline - asyncio.get_running_loop().time())
        if self.error is not None:
            raise self.error
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.was_cancelled.set()
                raise
        return SIGNATURES[signature][2](inputs)


class InMemory:
    """Model `line` with versions 1 and 2, label `stable` for 1."""

    is_live = True
    server_version = "test"

    def __init__(self) -> None:
        self.is_ready = True
        self.versions = {1: Line("line", 1), 2: Line("line", 2)}
        self.configs: Sequence[ModelConfig] = ()
        self.loaded: list[str] = []
        self.changed = asyncio.Event()

    def resolve(self, name: str, version: int | None = None, label: str | None = None) -> Servable:
        if name != "line":
            raise not_found(name, version)
        if label is not None:
            if label != "stable":
                raise unknown_label(label)
            version = 1
        found = self.versions.get(version or max(self.versions))
        if found is None:
            raise not_found(name, version)
        return found

    def statuses(self, name: str) -> Sequence[VersionStatus]:
        if name != "line":
            return ()
        broken = VersionStatus(3, "END", Code.DATA_LOSS, "digest differs")
        return [*(VersionStatus(version, "AVAILABLE") for version in sorted(self.versions)), broken]

    def names(self) -> Sequence[str]:
        return ["line"]

    def statistics(self, name: str, version: int | None) -> Sequence[Statistics]:
        if name and name != "line":
            raise not_found(name, version)
        run = Duration(3, 4_000)
        none = Duration()
        return [Statistics("line", 2, 5, 6, 3, run, none, none, none, run, none, [BatchStatistics(2, run)])]

    async def load(self, name: str) -> None:
        if name != "line":
            raise not_found(name, None)
        self.loaded.append(name)

    async def unload(self, name: str) -> None:
        self.loaded.remove(name)

    async def reload(self, configs: Sequence[ModelConfig]) -> None:
        if any(not config.base_path.startswith("/") for config in configs):
            raise StatusError(Code.INVALID_ARGUMENT, "Expected an absolute path")
        self.configs = configs

    async def wait_for_change(self) -> None:
        await self.changed.wait()
        self.changed.clear()


class Running:
    """A server on a free port of loopback in a thread's event loop, and a channel to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, models: InMemory, port: int) -> None:
        self.loop = loop
        self.models = models
        self.port = port
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def call(self, path: str, request: Any, answer: Any, **options: Any) -> Any:
        send = type(request).SerializeToString
        return self.channel.unary_unary(path, request_serializer=send, response_deserializer=answer.FromString)(
            request, **{"timeout": 10, **options}
        )

    def predict(self, request: Any, **options: Any) -> Any:
        return self.call("/tensorflow.serving.PredictionService/Predict", request, tfs.PredictResponse, **options)

    def infer(self, request: Any, **options: Any) -> Any:
        return self.call("/inference.GRPCInferenceService/ModelInfer", request, v2.ModelInferResponse, **options)

    def in_loop(self, work: Callable[[], object]) -> None:
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (work(), done.set()))
        assert done.wait(10)


async def _by_wire(models: InMemory, **options: Any) -> tuple[int, Callable[[], Any]]:
    """Its port, and what stops it."""
    loop = asyncio.get_running_loop()
    if "max_message_bytes" in options:
        options["most_message"] = options.pop("max_message_bytes")
    wire = Wire(models, loop=loop, **options)
    server = await loop.create_server(wire.connection, "127.0.0.1", 0)

    async def stop() -> None:
        server.close()
        await wire.drain(0)

    return server.sockets[0].getsockname()[1], stop


@contextmanager
def running(**options: Any) -> Iterator[Running]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    models = InMemory()
    port, stop = asyncio.run_coroutine_threadsafe(_by_wire(models, **options), loop).result(10)
    run = Running(loop, models, port)
    try:
        yield run
    finally:
        run.channel.close()
        asyncio.run_coroutine_threadsafe(_awaited(stop), loop).result(10)
        del stop
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _awaited(stop: Callable[[], Any]) -> None:
    await stop()


def predict_request(signature: str = "", **inputs: Any) -> tfs.PredictRequest:
    """Of arrays as float_val, of protos as they are."""
    request = tfs.PredictRequest()
    request.model_spec.name = "line"
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        proto = request.inputs[name]
        if hasattr(value, "SerializeToString"):
            proto.CopyFrom(value)
            continue
        array = np.asarray(value, np.float32)
        proto.dtype = 1
        for size in array.shape:
            proto.tensor_shape.dim.add(size=size)
        proto.float_val.extend(array.ravel().tolist())
    return request


def refused(call: Callable[[], object]) -> tuple[str, str]:
    """The code and message that a call is refused with."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, caught.value.details()
