"""What the machine can do without a server: ONNX Runtime called in a loop, in processes of one thread each.

`python -m benchmarks.serving_bench.limits MODEL SHAPE BATCH SECONDS` is one such process. It says `ready`, waits for a line, and
prints one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.serving_bench import ROOT
from benchmarks.serving_bench.machine import pinned
from benchmarks.serving_bench.model import Model


@dataclass(frozen=True)
class Limit:
    """Rows a second of all processes together, and CPU time per row [ms]."""

    processes: int
    batch: int
    rate: float
    cpu_ms: float

    @property
    def share(self) -> float:
        """Of the CPUs that were ours meanwhile: less than 1 where the machine did other things too."""
        return self.rate * self.cpu_ms / 1000 / self.processes


def measure(model: Model, batch: int, seconds: float, cpus: list[int]) -> Limit:
    """One process of one thread on each of `cpus`, all at the same time."""
    shape = ",".join(map(str, model.row))
    command = [sys.executable, "-m", "benchmarks.serving_bench.limits", str(model.onnx)]
    command += [shape, str(batch), str(seconds)]
    running = [
        subprocess.Popen(pinned(command, cpu), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for cpu in cpus
    ]
    try:
        for process in running:
            _line(process)
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        found = [json.loads(_line(process)) for process in running]
    finally:
        for process in running:
            process.kill()
            process.communicate()
    return together(batch, found)


def together(batch: int, found: list[dict[str, float]]) -> Limit:
    """Rates add up, CPU time is divided among all rows."""
    rate = sum(one["rows"] / one["seconds"] for one in found)
    cpu = sum(one["cpu"] for one in found) / sum(one["rows"] for one in found)
    return Limit(len(found), batch, rate, 1000 * cpu)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the process that measures the in-process limit ended early")
    return line


def _main(path: str, shape: str, batch: str, seconds: str) -> None:
    session, feed = _session(path), _feed(tuple(map(int, shape.split(","))), int(batch))
    for _ in range(3):
        session.run(None, feed)
    print("ready", flush=True)
    sys.stdin.readline()
    calls, cpu, began = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - began < float(seconds):
        session.run(None, feed)
        calls += 1
    spent = time.perf_counter() - began
    print(json.dumps({"rows": calls * int(batch), "seconds": spent, "cpu": time.process_time() - cpu}), flush=True)


def _session(path: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _feed(row: tuple[int, ...], batch: int) -> dict[str, Any]:
    import numpy as np

    pixels = np.random.default_rng(7).integers(0, 256, (batch, *row))
    return {"x": (pixels / 255).astype(np.float32)}


if __name__ == "__main__":
    _main(*sys.argv[1:])
