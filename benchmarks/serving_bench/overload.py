"""Four times as much as the server can do: what is answered still, how long that takes, and whether memory stays bounded.

Server and load generator have a CPU each. The peak is what the server does in a closed loop; "unloaded" is half of that at a constant
rate. There are 1,024 connections; a request that finds all of them busy is lost. A client waits for a second, then it leaves.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.serving_bench import ROOT
from benchmarks.serving_bench.asking import Ask
from benchmarks.serving_bench.figures import Claim
from benchmarks.serving_bench.load import program
from benchmarks.serving_bench.load.clients import GAVE_UP, LOST
from benchmarks.serving_bench.load.program import Plan, Said
from benchmarks.serving_bench.load.wire import BROKEN
from benchmarks.serving_bench.machine import pinned
from benchmarks.serving_bench.ours import Bench, Server
from benchmarks.serving_bench.processes import memory_mib

TIMES = 4.0
CONNECTIONS = 1024
PATIENCE_SECONDS = 1.0
LATE_MS = 20.0
SECTION = "Overload"


@dataclass(frozen=True)
class Overload:
    """Rates are requests a second; memory is that of the worker, at ten moments or more of the overload [MiB]."""

    way: str
    peak: float
    peak_p99_ms: float
    quiet_p99_ms: float
    """At a tenth of the peak."""
    unloaded_p99_ms: float
    offered: float
    goodput: float
    accepted_p99_ms: float
    refused: float
    gave_up: float
    lost: float
    broken: float
    generator_limit: float
    lag_p99_ms: float
    memory: list[float] = field(default_factory=list)

    def claims(self) -> list[Claim]:
        times = self.accepted_p99_ms / self.unloaded_p99_ms
        note = f"{self.accepted_p99_ms:.1f} ms against {self.unloaded_p99_ms:.1f} ms at half the peak"
        half = len(self.memory) // 2
        first, last = max(self.memory[:half]), max(self.memory[half:])
        grown = f"{last:.0f} MiB in the second half, {first:.0f} MiB in the first"
        what = f"{TIMES:.0f} times the peak offered, {self.way}"
        return [
            Claim(SECTION, f"{what}: goodput", self.goodput / self.peak, 0.9, False, "of the peak", self._rates()),
            Claim(SECTION, f"{what}: p99 of accepted requests", times, 3.0, True, "times the unloaded p99", note),
            Claim(SECTION, f"{what}: memory", last / first, 1.1, True, "times the first half's", grown),
        ]

    def _rates(self) -> str:
        said = f"{self.goodput:,.0f} a second, the peak is {self.peak:,.0f}, offered were {self.offered:,.0f}"
        late = f"; the generator was late by {self.lag_p99_ms:.0f} ms (p99): its CPU was not its own"
        return said + (late if self.lag_p99_ms > LATE_MS else "")

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def measure(bench: Bench, ask: Ask, seconds: float, cpus: list[int]) -> Overload:
    """Measure one way of asking.

    Raises:
        RuntimeError: a second CPU is missing.
    """
    if len(cpus) < 2:
        raise RuntimeError("server and load generator need a CPU each")
    ours, theirs = cpus[0], cpus[1]
    raw = ask.raw()
    limit = _generator_limit(raw, seconds, ours, theirs)
    with bench.server("--workers", "1", cpu=ours) as server:
        program.http(server.port, raw, Plan(64, 1.0, cpu=theirs))
        peak = program.http(server.port, raw, Plan(64, seconds, warm=0.5, cpu=theirs))
        rate = peak.answered / peak.seconds
        if not rate:
            raise RuntimeError(f"the server answered {peak.statuses}")
        quiet, half = (program.http(server.port, raw, _plan(seconds, rate * share, theirs)) for share in (0.1, 0.5))
        with watched(server, seconds) as memory:
            over = program.http(server.port, raw, _plan(seconds, rate * TIMES, theirs))
    return _overload(ask.way, peak, quiet, half, over, limit, memory)


def _overload(way: str, peak: Said, quiet: Said, half: Said, over: Said, limit: float, memory: list[float]) -> Overload:
    return Overload(
        way=way,
        peak=peak.answered / peak.seconds,
        peak_p99_ms=peak.p99_ms,
        quiet_p99_ms=quiet.p99_ms,
        unloaded_p99_ms=half.p99_ms,
        offered=over.offered / over.seconds,
        goodput=over.answered / over.seconds,
        accepted_p99_ms=over.p99_ms,
        refused=sum(count for status, count in over.statuses.items() if status > 200) / over.seconds,
        gave_up=over.statuses.get(GAVE_UP, 0) / over.seconds,
        lost=over.statuses.get(LOST, 0) / over.seconds,
        broken=over.statuses.get(BROKEN, 0) / over.seconds,
        generator_limit=limit,
        lag_p99_ms=over.lag_p99_ms,
        memory=memory,
    )


@contextlib.contextmanager
def watched(server: Server, seconds: float) -> Iterator[list[float]]:
    """The memory of the server's worker at ten moments or more while the block runs; the list is whole after it."""
    memory: list[float] = []
    stop = threading.Event()
    (worker,) = server.workers

    def look() -> None:
        while not stop.wait(seconds / 10) or len(memory) < 10:
            memory.append(memory_mib(worker))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield memory
    finally:
        stop.set()
        thread.join()


def _plan(seconds: float, rate: float, cpu: int) -> Plan:
    return Plan(CONNECTIONS, seconds, rate=rate, warm=0.5, patience=PATIENCE_SECONDS, cpu=cpu)


def _generator_limit(raw: bytes, seconds: float, server_cpu: int, cpu: int) -> float:
    """Requests a second where the server does nothing."""
    command = [sys.executable, "-m", "benchmarks.serving_bench.load.sink", str(len(raw))]
    sink = subprocess.Popen(pinned(command, server_cpu), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert sink.stdout is not None
        seen = program.http(int(sink.stdout.readline()), raw, Plan(64, min(seconds, 3.0), warm=0.5, cpu=cpu))
    finally:
        sink.kill()
        sink.communicate()
    return seen.answered / seen.seconds
