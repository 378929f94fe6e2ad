"""A stack without an engine: real buckets, real records, a real server; only what Pulumi would have told is put in its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from skylift import Stack
from skylift.artifacts.records import ModelRef, TensorSpec
from skylift.client import projects
from skylift.stack.outputs import Buckets, EndpointOutput, Outputs, PoolOutput
from tests.serving.conftest import ENDPOINT, Bench, Server

ROW = [TensorSpec(name="x", dtype="float32", shape=[None, 3])]
GARBAGE = b"this is no model"


class StackBench(Bench):
    """Buckets, models and servers, and the stack that they belong to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        root = folder / "project"
        projects.init(root, projects.Wish(port=0))
        self.stack = Stack("local", root)
        self.promise("http://127.0.0.1:9")

    def promise(self, url: str, settled: float = 30.0) -> None:
        simulated_outputs = Outputs(
            contract=1,
            target="local",
            buckets=Buckets(keep=self.keep.url, work=self.work.url),
            endpoints={ENDPOINT: EndpointOutput(url=url, settled=settled)},
            pools={"default": PoolOutput(accelerator="cpu", cpus=2, memory=4)},
        )
        self.stack.__dict__["outputs"] = simulated_outputs

    def serve(self, *options: str) -> Server:
        """A replica that has reported itself."""
        server = self.start(*options)
        self.promise(f"http://127.0.0.1:{server.port}")
        self.wait_report(lambda report: report.pid == server.process.pid)
        return server

    def publish_garbage(self, name: str = "scale") -> ModelRef:
        """A version whose every digest is right and that no backend can load."""
        return self.publish(GARBAGE, inputs=ROW, outputs=ROW, name=name)

    def file_of(self, ref: ModelRef, name: str = "model.onnx") -> Path:
        return self.keep_folder / "models" / ref.name / ref.digest / name


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[StackBench]:
    made = StackBench(tmp_path)
    yield made
    for server in made.servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


@pytest.fixture
def stack(bench: StackBench) -> Stack:
    return bench.stack
