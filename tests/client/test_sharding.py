"""A chain of parts, each served by an endpoint of its own, asked as one model."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from skylift.artifacts import endpoints, layout, models
from skylift.artifacts.records import (
    ModelManifest,
    ModelRef,
    Part,
    Signature,
    TaskInfo,
    TensorSpec,
    now,
)
from skylift.client import releases, sharding
from skylift.errors import DeployError, InputError, NotFoundError
from skylift.stack.outputs import Buckets, EndpointOutput, Outputs
from tests.client.conftest import StackBench
from tests.serving import onnx_models
from tests.serving.waiting import wait_for

FLOAT = TensorProto.FLOAT


def specs(*names: str) -> list[TensorSpec]:
    return [TensorSpec(name=name, dtype="float32", shape=[None, 3]) for name in names]


def three(*names: str) -> list[object]:
    return [onnx_models.value(name, FLOAT, ["rows", 3]) for name in names]


def publish_parts(bench: StackBench) -> list[ModelRef]:
    """`a = x + x`, `b = a * x`; then `y = (a + b) * x`: two tensors cross the cut, and x is needed on both sides."""
    first = onnx_models.model(
        [helper.make_node("Add", ["x", "x"], ["a"]), helper.make_node("Mul", ["a", "x"], ["b"])],
        three("x"),
        three("a", "b"),
    )
    last = onnx_models.model(
        [helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("Mul", ["c", "x"], ["y"])],
        three("x", "a", "b"),
        three("y"),
    )
    return [
        bench.publish(first, inputs=specs("x"), outputs=specs("a", "b"), name="m-part1of2"),
        bench.publish(last, inputs=specs("x", "a", "b"), outputs=specs("y"), name="m-part2of2"),
    ]


def publish_chain(bench: StackBench, parts: list[ModelRef], folder: Path) -> None:
    folder.mkdir()
    (folder / "sharding.json").write_text("{}")
    task = TaskInfo(kind="classification", labels=["p", "q", "r"])
    signature = Signature(inputs=specs("x"), outputs=specs("y"))
    manifest = ModelManifest(
        name="m-in2",
        created=now(),
        by="test",
        signature=signature,
        task=task,
        formats={},
        files=[],
        chain=parts,
        part=None,
    )
    models.publish(bench.keep, "m-in2", folder, manifest)


def serve(bench: StackBench, parts: dict[str, ModelRef]) -> None:
    """Each part by an endpoint of its own."""
    urls = {}
    for endpoint, part in parts.items():
        endpoints.deploy(bench.keep, endpoint, part, by="test")
        server = bench.start(endpoint=f"{bench.keep.url}/endpoints/{endpoint}")
        server.wait_ready()
        urls[endpoint] = EndpointOutput(url=f"http://127.0.0.1:{server.port}")
    bench.stack.__dict__["outputs"] = Outputs(
        contract=1,
        target="local",
        buckets=Buckets(keep=bench.keep.url, work=bench.work.url),
        endpoints=urls,
        pools={},
    )
    for endpoint in parts:
        wait_for(partial(serves, bench, endpoint))


def serves(bench: StackBench, endpoint: str) -> bool:
    reports = [report for report, _ in endpoints.list_replicas(bench.work, endpoint)]
    return any(report.state == "serving" for report in reports)


def test_parts_are_asked_in_order_and_get_what_they_need(bench: StackBench, tmp_path: Path) -> None:
    parts = publish_parts(bench)
    publish_chain(bench, parts, tmp_path / "chain")
    serve(bench, {"one": parts[0]})
    with pytest.raises(NotFoundError, match="no endpoint serves m-part2of2:1") as caught:
        sharding.predict(bench.stack, "m-in2", [[1.0, 2.0, 3.0]])
    assert "skylift deploy m-part2of2:1" in caught.value.hint
    serve(bench, {"one": parts[0], "two": parts[1]})
    x = np.array([[1.0, 2.0, 3.0], [0.5, -1.0, 4.0]])
    told = sharding.predict(bench.stack, "m-in2", x)
    assert np.allclose([answer.raw for answer in told], (2 * x + 2 * x * x) * x)
    assert {answer.model for answer in told} == {"m-part2of2"}


def test_one_endpoint_serves_a_whole_chain(bench: StackBench, tmp_path: Path) -> None:
    publish_chain(bench, publish_parts(bench), tmp_path / "chain")
    server = bench.serve()
    told: list[str] = []
    releases.deploy(bench.stack, "m-in2", notice=told.append)
    assert "verifying m-part2of2:1" in told
    x = np.array([[1.0, 2.0, 3.0]])
    given = server.predict(x.tolist(), model="m-in2").json()["predictions"]
    assert np.allclose(given, (2 * x + 2 * x * x) * x)


def test_a_chain_with_a_damaged_part_is_not_deployed(bench: StackBench, tmp_path: Path) -> None:
    parts = publish_parts(bench)
    publish_chain(bench, parts, tmp_path / "chain")
    (bench.keep_folder / layout.model(parts[1].name, parts[1].digest) / "model.onnx").write_bytes(b"else")
    bench.serve()
    with pytest.raises(DeployError, match="m-in2:1 is refused: its part m-part2of2:1: "):
        bench.stack.deploy("m-in2")


def test_a_part_is_no_chain(bench: StackBench) -> None:
    publish_parts(bench)
    with pytest.raises(InputError, match="m-part1of2:1 is no chain"):
        sharding.predict(bench.stack, "m-part1of2", [[1.0, 2.0, 3.0]])


def test_what_a_part_is_stays_readable(bench: StackBench) -> None:
    """Versions from before parts have neither field and are read as they were."""
    ref = publish_parts(bench)[0]
    read = models.read_manifest(bench.keep, ref)
    assert read.part is None and read.chain == []
    assert Part(of=ref, index=1, count=2).inputs == {}
