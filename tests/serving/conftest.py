"""Real servers on free ports, real models in real folders."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from skylift.artifacts import endpoints, layout, models
from skylift.artifacts.records import (
    Current,
    Deployment,
    Format,
    ModelManifest,
    ModelRef,
    Parity,
    ReplicaReport,
    Signature,
    encode,
    now,
)
from skylift.artifacts.records import TensorSpec as Spec
from skylift.store import Store, open_store
from tests.serving.waiting import wait_for

ENDPOINT = "default"


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A supervisor process and how to talk to it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self.port = wait_for(self._listening, what=f"listening: {log.read_text()}")["port"]

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def _listening(self) -> dict[str, Any] | None:
        if self.process.poll() is not None:
            pytest.fail(f"the server ended: {self.log.read_text()}")
        return next(iter(self.events("listening")), None)

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers that were started, in order."""
        return [event["pid"] for event in self.events("worker_started")]

    def ask(self, method: str, path: str, body: Any = None, timeout: float = 30.0, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            raw = body if isinstance(body, bytes | str | None) else json.dumps(body)
            connection.request(method, path, raw, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def try_ask(self, method: str, path: str, body: Any = None, timeout: float = 2.0) -> Answer | None:
        try:
            return self.ask(method, path, body, timeout)
        except (OSError, http.client.HTTPException):
            return None

    def predict(self, instances: Any, model: str = "scale", **headers: str) -> Answer:
        return self.ask("POST", f"/v1/models/{model}:predict", {"instances": instances}, **headers)

    def wait_ready(self, seconds: float = 20.0) -> None:
        wait_for(lambda: self.ask("GET", "/readyz").status == 200, seconds, "readiness")

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20.0) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)


class Bench:
    """Two buckets, models to publish and servers to start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keep_folder, self.work_folder = folder / "keep", folder / "work"
        self.keep_folder.mkdir()
        self.work_folder.mkdir()
        self.keep: Store = open_store(self.keep_folder.as_uri())
        self.work: Store = open_store(self.work_folder.as_uri())
        self.servers: list[Server] = []

    def start(self, *options: str, endpoint: str = "", env: dict[str, str] | None = None) -> Server:
        log = self.folder / f"server-{len(self.servers)}.log"
        command = [sys.executable, "-P", "-m", "serving", "--port", "0", "--cache", str(self.folder / "cache")]
        command += ["--endpoint", endpoint or f"{self.keep.url}/endpoints/{ENDPOINT}", "--work", self.work.url]
        with log.open("wb") as stderr:
            process = subprocess.Popen([*command, *options], stderr=stderr, env={**os.environ, **(env or {})})
        try:
            server = Server(process, log)
        except BaseException:
            process.kill()
            process.wait()
            raise
        self.servers.append(server)
        return server

    def publish(self, model: bytes, *, inputs: list[Spec], outputs: list[Spec], name: str = "scale") -> ModelRef:
        folder = self.folder / f"files-{len(list(self.folder.glob('files-*')))}"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(model)
        parity = Parity(max_abs_difference=0.0, rows=1, tolerance=1e-4, holds=True)
        manifest = ModelManifest(
            name=name,
            created=now(),
            by="test",
            signature=Signature(inputs=inputs, outputs=outputs),
            formats={"onnx": Format(path="model.onnx", parity=parity)},
            files=[],
        )
        published = models.publish(self.keep, name, folder, manifest)
        return ModelRef(name=published.name, version=published.version, digest=published.digest)

    def publish_scale(self, factor: float, *, name: str = "scale") -> ModelRef:
        """`y = factor * x` over rows of three numbers."""
        from tests.serving import onnx_models

        row = [Spec(name="x", dtype="float32", shape=[None, 3])]
        return self.publish(
            onnx_models.scale(factor), inputs=row, outputs=[Spec(name="y", dtype="float32", shape=[None, 3])], name=name
        )

    def deploy(self, ref: ModelRef) -> Deployment:
        return endpoints.deploy(self.keep, ENDPOINT, ref, by="test")

    def deploy_by_hand(self, ref: ModelRef, damage: Callable[[], Any]) -> None:
        """What `deploy` would refuse: the version is damaged before the pointer moves to it."""
        number = max((one.number for one in endpoints.list_deployments(self.keep, ENDPOINT)), default=0) + 1
        made = Deployment(endpoint=ENDPOINT, number=number, model=ref, created=now(), by="test")
        self.keep.create(layout.deployment(ENDPOINT, number), encode(made))
        damage()
        self.point(Current(deployment=number, changed=now(), by="test"))

    def point(self, current: Current) -> None:
        self.keep.put(layout.current(ENDPOINT), encode(current))

    def keep_ref(self, name: str, version: int) -> ModelRef:
        return models.resolve(self.keep, f"{name}:{version}")

    def report(self) -> ReplicaReport | None:
        found = endpoints.list_replicas(self.work, ENDPOINT)
        return found[0][0] if found else None

    def wait_report(self, condition: Callable[[ReplicaReport], bool], seconds: float = 20.0) -> ReplicaReport:
        def look() -> ReplicaReport | None:
            report = self.report()
            return report if report is not None and condition(report) else None

        report: ReplicaReport = wait_for(look, seconds, "the replica's report")
        return report


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for server in made.servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()
