"""How soon a server is ready, and what a worker takes of memory."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.serving_bench.asking import Ask
from benchmarks.serving_bench.figures import Claim
from benchmarks.serving_bench.matrix import load
from benchmarks.serving_bench.ours import Bench
from benchmarks.serving_bench.processes import memory_mib

SECTION = "Start and memory"
READY_SECONDS, WORKER_MIB = 1.5, 120.0


@dataclass(frozen=True)
class Starting:
    """`ready` of each start [s]; memory of the worker when it was ready and after a load, and of the supervisor [MiB]."""

    ready: list[float]
    worker_ready: float
    worker_loaded: float
    supervisor: float

    def claims(self) -> list[Claim]:
        times = f"{min(self.ready):.2f} to {max(self.ready):.2f} s in {len(self.ready)} starts with an empty cache"
        memory = f"{self.worker_ready:.0f} MiB when ready; the supervisor {self.supervisor:.0f} MiB"
        return [
            Claim(
                SECTION, "ONNX: from the start to ready", statistics.median(self.ready), READY_SECONDS, True, "s", times
            ),
            Claim(SECTION, "ONNX: a worker after a load", self.worker_loaded, WORKER_MIB, True, "MiB resident", memory),
        ]

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def measure(bench: Bench, asks: list[Ask], seconds: float, starts: int = 5) -> Starting:
    """Start a server with one worker so often; the last one is asked in each of these ways at 64 connections."""
    ready: list[float] = []
    for number in range(starts):
        with bench.server("--workers", "1", is_waited_for=False) as server:
            ready.append(server.wait_ready())
            if number < starts - 1:
                continue
            (worker,) = server.workers
            before = memory_mib(worker)
            for ask in asks:
                load(server, ask, 64, seconds)
            return Starting(ready, before, memory_mib(worker), memory_mib(server.pid))
    raise ValueError("at least one start")
