"""Our server as a user starts it: a bucket of files, a deployment, `python -P -m serving`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving_bench import ROOT
from benchmarks.serving_bench.asking import connect
from benchmarks.serving_bench.machine import pinned
from benchmarks.serving_bench.model import INPUT, OUTPUT, Model
from benchmarks.serving_bench.processes import children, end
from skylift.artifacts import endpoints, models
from skylift.artifacts.records import Format, ModelManifest, ModelRef, Parity, Signature, TensorSpec, now
from skylift.store import open_store

ENDPOINT = "default"
START_SECONDS = 60.0


class Bench:
    """Two buckets in a folder that is thrown away, and what is published there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("keep", "work"):
            (folder / name).mkdir()
        self.keep = open_store((folder / "keep").as_uri())
        self.work = open_store((folder / "work").as_uri())
        self._published = 0

    def publish(self, model: Model, onnx: bytes | None = None) -> ModelRef:
        """A version of a model; `onnx` instead of its own file."""
        self._published += 1
        files = self.folder / f"files-{self._published}"
        files.mkdir()
        (files / "model.onnx").write_bytes(onnx or model.onnx.read_bytes())
        parity = Parity(max_abs_difference=0.0, rows=1, tolerance=1e-4, holds=True)
        signature = Signature(
            inputs=[TensorSpec(name=INPUT, dtype="float32", shape=[None, *model.row])],
            outputs=[TensorSpec(name=OUTPUT, dtype="float32", shape=[None, model.outputs])],
        )
        manifest = ModelManifest(
            name=model.name,
            created=now(),
            by="benchmark",
            signature=signature,
            formats={"onnx": Format(path="model.onnx", parity=parity)},
            files=[],
        )
        made = models.publish(self.keep, model.name, files, manifest)
        return ModelRef(name=made.name, version=made.version, digest=made.digest)

    def deploy(self, ref: ModelRef) -> int:
        """Let a version answer; the deployment's number."""
        return endpoints.deploy(self.keep, ENDPOINT, ref, by="benchmark").number

    @contextlib.contextmanager
    def server(
        self, *options: str, cpu: int | None = None, is_waited_for: bool = True, more: Mapping[str, str] | None = None
    ) -> Iterator[Server]:
        """Our server on free ports, with its own empty cache, until the block ends.

        Args:
            cpu: that all its processes are bound to.
            more: environment variables.
        """
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            command = [sys.executable, "-P", "-m", "serving", "--endpoint", f"{self.keep.url}/endpoints/{ENDPOINT}"]
            command += ["--work", self.work.url, "--port", "0", "--cache", f"{scratch}/cache", *options]
            with running(pinned(command, cpu), Path(scratch) / "log", more) as server:
                if is_waited_for:
                    server.wait_ready()
                yield server


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, more: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server that writes its events as JSON lines to standard error."""
    began = time.monotonic()
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            list(command),
            cwd=ROOT,
            env={**os.environ, **(more or {})},
            stderr=stderr,
            stdout=stderr,
            start_new_session=True,
        )
    try:
        yield Server(process, log, began, is_secure="--tls-cert" in command)
    finally:
        end(process)


@dataclass
class Server:
    """A running server of ours. `began` is when its process was started, by `time.monotonic`."""

    process: subprocess.Popen[bytes]
    log: Path
    began: float
    is_secure: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers that live."""
        alive = set(children(self.pid))
        return [event["pid"] for event in self.events("worker_started") if event["pid"] in alive]

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (line for line in self.log.read_text().splitlines() if line.startswith("{") and line.endswith("}"))
        return [event for event in map(json.loads, lines) if event.get("event") == name]

    @property
    def port(self) -> int:
        return int(self._listening()["port"])

    @property
    def grpc_port(self) -> int | None:
        """None where the server has none."""
        found = self._listening().get("grpc_port")
        return int(found) if found else None

    def wait_ready(self, path: str = "/readyz") -> float:
        """Seconds from the process's start to the first 200."""
        ends = time.monotonic() + START_SECONDS
        while not self._is_ready(path):
            if time.monotonic() > ends or self.process.poll() is not None:
                raise RuntimeError(f"the server did not become ready: {self.log.read_text()[-800:]}")
            time.sleep(0.01)
        return time.monotonic() - self.began

    def _listening(self) -> dict[str, Any]:
        ends = time.monotonic() + START_SECONDS
        while not (found := self.events("listening")):
            if time.monotonic() > ends or self.process.poll() is not None:
                raise RuntimeError(f"the server did not open its port: {self.log.read_text()[-800:]}")
            time.sleep(0.01)
        return found[0]

    def _is_ready(self, path: str) -> bool:
        connection = connect(self.port, timeout=5, is_secure=self.is_secure)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def known_options() -> str:
    """What `--help` of our server says: which options there are."""
    command = [sys.executable, "-P", "-m", "serving", "--help"]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    ).stdout
