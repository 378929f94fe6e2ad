"""Real ONNX models of every kind behind the real routes, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from onnx import TensorProto as P
from onnx import helper

from serving.backends.base import Array
from serving.backends.onnx import OnnxBackend
from serving.control import Route
from serving.http.routes import Routes
from serving.interface import CLASSIFY, REGRESS, Code, StatusError
from serving.models import Loaded, Models, Version
from serving.options import WorkerOptions
from serving.signature import DEFAULT_SIGNATURE
from serving.watch.options import WatchOptions
from serving.watch.watcher import Watcher
from skylift.artifacts.records import Format, ModelManifest, Signature, TaskInfo, now
from tests.serving import onnx_models as made

OLDER, NEWER = 3, 7
LABELS = {"stable": OLDER}


class Examples:
    """An ONNX model as one that was exported to classify or regress."""

    def __init__(self, inner: OnnxBackend, method: str) -> None:
        self._inner = inner
        self.name, self.platform, self.concurrency = inner.name, inner.platform, inner.concurrency
        self.signatures, self.defaults = inner.signatures, inner.defaults
        self.methods = {DEFAULT_SIGNATURE: method}

    def run(
        self,
        signature: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] = (),
        *,
        deadline: float | None = None,
    ) -> dict[str, Array]:
        return self._inner.run(signature, inputs, outputs, deadline=deadline)

    def close(self) -> None:
        self._inner.close()


def _same(kind: int, shape: Sequence[int | str] | None, source: str = "x", result: str = "y") -> bytes:
    node = helper.make_node("Identity", [source], [result])
    return made.model([node], [made.value(source, kind, shape)], [made.value(result, kind, shape)])


def _sum() -> bytes:
    node = helper.make_node("Add", ["a", "b"], ["y"])
    inputs = [made.value(name, P.FLOAT, ["rows", "columns"]) for name in ("a", "b")]
    return made.model([node], inputs, [made.value("y", P.FLOAT, ["rows", "columns"])])


def _table() -> bytes:
    node = helper.make_node("Gather", ["table", "x"], ["y"])
    table = made.constant("table", np.array([1, 2, 4, 8], np.float32))
    return made.model([node], [made.value("x", P.INT64, ["rows"])], [made.value("y", P.FLOAT, ["rows"])], [table])


MODELS: dict[str, bytes] = {
    "rows": made.scale(2),
    "doubles": _same(P.DOUBLE, ["n", 2]),
    "whole": _same(P.INT64, ["n", 2]),
    "small": _same(P.INT32, ["n"]),
    "bytes": _same(P.INT8, ["n", 2]),
    "texts": _same(P.STRING, ["n"]),
    "flags": _same(P.BOOL, ["n", 2]),
    "halves": _same(P.FLOAT16, ["n", 2]),
    "wide": _same(P.UINT64, ["n"]),
    "pixels": _same(P.UINT8, ["n", 4, 4, 3]),
    "pair": made.two_inputs(),
    "any": made.half_plus_two(),
    "two": made.two_outputs(),
    "log": made.log(),
    "uneven": made.uneven_outputs(),
    "sum": _sum(),
    "table": _table(),
    "classes": _same(P.FLOAT, ["n", 2], result="scores"),
    "values": _same(P.FLOAT, ["n", 1], result="outputs"),
}
_METHODS = {"classes": CLASSIFY, "values": REGRESS}


class Served:
    """All models, loaded once; routes and registry of one event loop."""

    def __init__(self, folder: Path, options: WorkerOptions, loop: asyncio.AbstractEventLoop) -> None:
        self.errors: list[str] = []
        loop.set_exception_handler(lambda _, context: self.errors.append(_said(context)))
        self.models = Models(options, loop)
        self._loaded: list[Loaded] = []
        routes = []
        for key, (name, raw) in enumerate(MODELS.items(), 1):
            loaded = self._load(folder / name, name, raw, options, loop)
            numbers = {}
            for number in (OLDER, NEWER):
                version = Version(key * 100 + number, name, number, loaded)
                self.models.add(version)
                numbers[number] = version.key
            routes.append(Route(name, numbers, default=numbers[NEWER], labels=LABELS))
        self.models.switch(routes)
        self.models.readiness = "ready"
        self.models.manage = self._manage
        self.routes = Routes(self.models, options, loop)
        self.routes.desk.watcher = self.watcher = Watcher(WatchOptions())

    def _load(
        self, folder: Path, name: str, raw: bytes, options: WorkerOptions, loop: asyncio.AbstractEventLoop
    ) -> Loaded:
        folder.mkdir(exist_ok=True)
        (folder / "model.onnx").write_bytes(raw)
        backend: Any = OnnxBackend(folder / "model.onnx", 1, None)
        if name in _METHODS:
            backend = Examples(backend, _METHODS[name])
        manifest = ModelManifest(
            name=name,
            created=now(),
            by="fuzzer",
            signature=Signature(inputs=[], outputs=[]),
            formats={"onnx": Format(path="model.onnx")},
            files=[],
            task=TaskInfo(input_kind="image" if name == "pixels" else "tabular"),
        )
        loaded = Loaded(manifest, name, backend, options.batching, loop)
        self._loaded.append(loaded)
        return loaded

    async def _manage(self, what: str, body: Any) -> str:
        """The supervisor's part, for names that are known."""
        if what == "metrics":
            return msgspec.json.encode(("# metrics\n", "text/plain")).decode()
        if what == "list":
            return msgspec.json.encode([(name, f"/models/{name}") for name in MODELS]).decode()
        names = [body["name"]] if "name" in body else [one.name for one in body["configs"]]
        for name in names:
            if name not in MODELS:
                raise StatusError(Code.NOT_FOUND, f"there is no model {name!r}")
        return ""

    def close(self) -> None:
        for loaded in self._loaded:
            loaded.close()
            for batcher in loaded.batchers:
                batcher.join()
        self.watcher.close()


def _said(context: Mapping[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"
