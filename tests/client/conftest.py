"""A stack without an engine: real buckets, real records, a real server; only what Pulumi would have told is put in its place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backends.fail
import pytest

from skylift import Stack
from skylift.artifacts.records import ModelRef, TensorSpec
from skylift.client import projects
from skylift.stack.outputs import Buckets, EndpointOutput, Outputs, PoolOutput
from tests.serving.conftest import ENDPOINT, Bench, Server

ROW = [TensorSpec(name="x", dtype="float32", shape=[None, 3])]
GARBAGE = b"this is no model"

ECHO = '''"""Tells what reached it, and ends there."""
import os
from dataclasses import dataclass
from training.contract import Input, Task
import helper


@dataclass(frozen=True)
class Hyperparameters:
    depth: int = 3


def task(hp):
    return Task("regression", "mse", (Input((4,), "float32", "x"),))


def load(hp, source):
    raise NotImplementedError


def build(hp, data):
    raise NotImplementedError


if "REGION" in os.environ:
    raise ValueError(f"{helper.word} {os.environ['REGION']} {os.environ.get('API_TOKEN')} {__file__}")
'''


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


@pytest.fixture
def no_keyring() -> Iterator[None]:
    before = keyring.core._keyring_backend
    keyring.set_keyring(keyring.backends.fail.Keyring())
    yield
    keyring.core._keyring_backend = before


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, with a recipe and what it imports."""
    folder = tmp_path / "user"
    folder.mkdir()
    (folder / "echo.py").write_text(ECHO)
    (folder / "helper.py").write_text("word = 'reached'\n")
    (folder / "private.py").write_text("x = 1\n")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()
