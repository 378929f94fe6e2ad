"""A small model, whole and cut into three parts: published as real versions, served by real servers."""

from __future__ import annotations

from functools import partial

import numpy as np
from onnx import TensorProto, helper

from serving.backends.base import Array
from skylift.artifacts import endpoints, models
from skylift.artifacts.records import Format, ModelManifest, ModelRef, Parity, Part, Signature, TensorSpec, now
from tests.serving import onnx_models
from tests.serving.conftest import Bench, Server
from tests.serving.waiting import wait_for

FLOAT = TensorProto.FLOAT
WHOLE = ModelRef(name="digits", version=1, digest="0" * 64)
ROWS = np.random.default_rng(3).random((5, 3), np.float32)


def specs(*names: str) -> list[TensorSpec]:
    return [TensorSpec(name=name, dtype="float32", shape=[None, 3]) for name in names]


def values(*names: str) -> list[object]:
    return [onnx_models.value(name, FLOAT, ["rows", 3]) for name in names]


def expected(x: Array) -> dict[str, Array]:
    """What the uncut model computes."""
    double = x + x
    square = double * x
    root = square - double
    return {"root": root, "y": root * square + x}


NODES = [
    helper.make_node("Add", ["x", "x"], ["double"]),
    helper.make_node("Mul", ["double", "x"], ["square"]),
    helper.make_node("Sub", ["square", "double"], ["root"]),
    helper.make_node("Mul", ["root", "square"], ["product"]),
    helper.make_node("Add", ["product", "x"], ["y"]),
]
CUTS: list[tuple[list[int], dict[str, int], list[str]]] = [
    ([0, 1], {"x": 0}, ["double", "square"]),
    ([2], {"square": 1, "double": 1}, ["root"]),
    ([3, 4], {"root": 2, "square": 1, "x": 0}, ["y"]),
]
"""Of each part its steps, where its inputs come from, and its outputs."""


def publish_uncut(bench: Bench) -> ModelRef:
    model = onnx_models.model(NODES, values("x"), values("root", "y"))
    return bench.publish(model, inputs=specs("x"), outputs=specs("root", "y"), name="digits")


def publish_parts(bench: Bench, *, prefix: str = "digits") -> list[ModelRef]:
    parts = []
    for number, (steps, sources, gives) in enumerate(CUTS, start=1):
        model = onnx_models.model([NODES[step] for step in steps], values(*sources), values(*gives))
        parts.append(publish_part(bench, f"{prefix}-part{number}of3", number, model, sources, gives))
    return parts


def publish_part(
    bench: Bench, name: str, number: int, model: bytes, sources: dict[str, int], gives: list[str]
) -> ModelRef:
    folder = bench.folder / f"part-{len(list(bench.folder.glob('part-*')))}"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model)
    manifest = ModelManifest(
        name=name,
        created=now(),
        by="test",
        signature=Signature(inputs=specs(*sources), outputs=specs(*gives)),
        formats={
            "onnx": Format(path="model.onnx", parity=Parity(max_abs_difference=0.0, rows=1, tolerance=1e-4, holds=True))
        },
        files=[],
        part=Part(of=WHOLE, index=number, count=3, inputs=sources),
    )
    made = models.publish(bench.keep, name, folder, manifest)
    return ModelRef(name=made.name, version=made.version, digest=made.digest)


def publish_chain(bench: Bench, parts: list[ModelRef], *, name: str = "digits-in3", why: str = "") -> ModelRef:
    folder = bench.folder / f"chain-{len(list(bench.folder.glob('chain-*')))}"
    folder.mkdir()
    (folder / "sharding.json").write_text(f'{{"why":"{why}"}}')
    manifest = ModelManifest(
        name=name,
        created=now(),
        by="test",
        signature=Signature(inputs=specs("x"), outputs=specs("root", "y")),
        formats={},
        files=[],
        chain=parts,
    )
    made = models.publish(bench.keep, name, folder, manifest)
    return ModelRef(name=made.name, version=made.version, digest=made.digest)


def deploy(bench: Bench, endpoint: str, ref: ModelRef) -> None:
    endpoints.deploy(bench.keep, endpoint, ref, by="test")


def start(bench: Bench, endpoint: str, *options: str, env: dict[str, str] | None = None) -> Server:
    return bench.start(*options, endpoint=f"{bench.keep.url}/endpoints/{endpoint}", env=env)


def serve_part(bench: Bench, ref: ModelRef, *options: str, endpoint: str = "") -> Server:
    """An ordinary endpoint whose deployment is a part."""
    name = endpoint or ref.name
    if endpoints.read_current(bench.keep, name) is None:
        deploy(bench, name, ref)
    server = start(bench, name, *options)
    wait_for(partial(serves, server), what="a part that answers")
    return server


def serves(server: Server) -> bool:
    answer = server.try_ask("GET", "/readyz")
    return answer is not None and answer.status == 200 and bool(server.events("serving"))


def url(*servers: Server) -> str:
    return ",".join(f"http://127.0.0.1:{server.port}" for server in servers)


def check(server: Server, rows: Array = ROWS, model: str = "digits-in3") -> None:
    """It answers as the uncut model does."""
    answer = server.predict(rows.tolist(), model=model)
    assert answer.status == 200, answer.body
    given = answer.json()["predictions"]
    for name, value in expected(rows).items():
        np.testing.assert_array_equal(np.array([row[name] for row in given], np.float32), value)
