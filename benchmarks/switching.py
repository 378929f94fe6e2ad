"""How many requests fail while versions change under load, and how soon a new version answers.

    uv run python benchmarks/switching.py [--requests 2000] [--switches 10] [--json]

Starts a server on a free port, publishes two versions of a small model, keeps several clients asking, deploys one version after the
other. Prints the requests sent, how many failed or were answered wrongly, and the time from the pointer's change to the first
answer of the new version. Exit code 1 if any failed.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from skylift.artifacts import endpoints, models
from skylift.artifacts.records import Format, ModelManifest, ModelRef, Parity, Signature, TensorSpec, now
from skylift.store import Store, open_store

MODEL = "switching"
INPUTS = 784
HIDDEN = 256
FACTORS = (1.0, 2.0)
"""What the two versions multiply by: an answer shows which version gave it."""


@dataclass
class Tally:
    """What the clients saw. One lock, taken for microseconds."""

    sent: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    first_answer: dict[int, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, began: float, deployment: int | None, problem: str) -> None:
        ended = time.monotonic()
        with self.lock:
            self.sent += 1
            self.latencies_s.append(ended - began)
            if problem:
                self.problems[problem] += 1
            if deployment is not None:
                self.first_answer.setdefault(deployment, ended)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--requests", type=int, default=2000, help="at least so many in all")
    parser.add_argument("--switches", type=int, default=10)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options)
    print(json.dumps(figures, indent=1) if options.json else sentence(figures))
    return 1 if figures["failed"] else 0


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    for name in ("keep", "work"):
        (folder / name).mkdir()
    keep, work = (open_store((folder / name).as_uri()) for name in ("keep", "work"))
    versions = [publish(keep, folder, factor) for factor in FACTORS]
    endpoints.deploy(keep, "default", versions[0], by="benchmark")
    server, port = start(folder, keep, work, options.workers)
    try:
        return ask_and_switch(keep, versions, port, options)
    finally:
        server.terminate()
        server.wait(30)


def ask_and_switch(keep: Store, versions: list[ModelRef], port: int, options: argparse.Namespace) -> dict[str, Any]:
    tally, stop = Tally(), threading.Event()
    clients = [threading.Thread(target=ask, args=(port, tally, stop)) for _ in range(options.clients)]
    for client in clients:
        client.start()
    changed: dict[int, float] = {}
    share = options.requests / options.switches
    try:
        wait(lambda: 1 in tally.first_answer)
        for turn in range(1, options.switches + 1):
            made = endpoints.deploy(keep, "default", versions[turn % len(versions)], by="benchmark")
            changed[made.number] = time.monotonic()
            wait(lambda number=made.number: number in tally.first_answer)
            wait(lambda turn=turn: tally.sent >= turn * share)
    finally:
        stop.set()
        for client in clients:
            client.join()
    waits = [tally.first_answer[number] - moment for number, moment in changed.items()]
    ordered = sorted(tally.latencies_s)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "requests": tally.sent,
        "switches": len(waits),
        "failed": sum(tally.problems.values()),
        "problems": dict(tally.problems),
        "to_first_answer_s": {"median": round(statistics.median(waits), 3), "max": round(max(waits), 3)},
        "latency_ms": {
            "p50": round(1000 * ordered[len(ordered) // 2], 2),
            "p99": round(1000 * ordered[len(ordered) * 99 // 100], 2),
            "max": round(1000 * ordered[-1], 2),
        },
    }


def ask(port: int, tally: Tally, stop: threading.Event) -> None:
    """One client on one connection, as a pool would keep it."""
    body = json.dumps({"instances": [[1.0] * INPUTS]})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not stop.is_set():
        began = time.monotonic()
        try:
            connection.request("POST", f"/v1/models/{MODEL}:predict", body)
            answer = connection.getresponse()
            raw = answer.read()
            problem = "" if answer.status == 200 else f"status {answer.status}"
            if not problem:
                problem = wrong(json.loads(raw)["predictions"][0][0], answer.headers["X-Skylift-Model-Version"])
            deployment = answer.headers["X-Skylift-Deployment"]
            tally.add(began, int(deployment) if deployment else None, problem)
        except (OSError, http.client.HTTPException) as error:
            tally.add(began, None, type(error).__name__)
            connection.close()
    connection.close()


def wrong(value: float, version: str) -> str:
    expected = FACTORS[int(version) - 1]
    return "" if abs(value - expected) < 1e-3 else f"version {version} answered {value}"


def publish(keep: Store, folder: Path, factor: float) -> ModelRef:
    """A dense network of 784-256-1 whose answer to ones is `factor`."""
    files = folder / f"factor-{factor}"
    files.mkdir()
    (files / "model.onnx").write_bytes(network(factor))
    manifest = ModelManifest(
        name=MODEL,
        created=now(),
        by="benchmark",
        signature=Signature(
            inputs=[TensorSpec(name="x", dtype="float32", shape=[None, INPUTS])],
            outputs=[TensorSpec(name="y", dtype="float32", shape=[None, 1])],
        ),
        formats={
            "onnx": Format(path="model.onnx", parity=Parity(max_abs_difference=0.0, rows=1, tolerance=1e-4, holds=True))
        },
        files=[],
    )
    made = models.publish(keep, MODEL, files, manifest)
    return ModelRef(name=made.name, version=made.version, digest=made.digest)


def network(factor: float) -> bytes:
    first = numpy_helper.from_array(np.full((INPUTS, HIDDEN), 1 / INPUTS, np.float32), "first")
    second = numpy_helper.from_array(np.full((HIDDEN, 1), factor / HIDDEN, np.float32), "second")
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "second"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", INPUTS])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1])]
    graph = helper.make_graph(nodes, "switching", inputs, outputs, [first, second])
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    )


def start(folder: Path, keep: Store, work: Store, workers: int) -> tuple[subprocess.Popen[bytes], int]:
    log = folder / "server.log"
    command = [sys.executable, "-P", "-m", "serving", "--endpoint", f"{keep.url}/endpoints/default", "--work", work.url]
    with log.open("wb") as stderr:
        server = subprocess.Popen(
            [*command, "--port", "0", "--workers", str(workers), "--cache", str(folder / "cache")], stderr=stderr
        )

    def port() -> int | None:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        return next((line["port"] for line in lines if line["event"] == "listening"), None)

    try:
        wait(port)
        wait(lambda: is_ready(port() or 0))
    except BaseException:
        server.kill()
        server.wait()
        raise
    found = port()
    assert found is not None
    return server, found


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def wait(condition: Any, seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError("the server did not come this far")
        time.sleep(0.005)


def sentence(figures: dict[str, Any]) -> str:
    first, latency = figures["to_first_answer_s"], figures["latency_ms"]
    return (
        f"{figures['requests']} requests during {figures['switches']} switches: {figures['failed']} failed "
        f"{figures['problems'] or ''}\n"
        f"first answer of the new version after {first['median']} s (median), {first['max']} s (most)\n"
        f"latency p50 {latency['p50']} ms, p99 {latency['p99']} ms, most {latency['max']} ms\n"
        f"on {figures['machine']}"
    )


if __name__ == "__main__":
    sys.exit(main())
