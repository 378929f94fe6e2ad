"""A load generator as a process of its own: `python -m benchmarks.serving_bench.load.program` reads a task and prints what it saw."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.serving_bench import ROOT
from benchmarks.serving_bench.figures import percentile
from benchmarks.serving_bench.load.outcome import Outcome
from benchmarks.serving_bench.machine import pinned

if TYPE_CHECKING:
    from benchmarks.serving_bench.load.clients import Seen


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask, and how.

    Args:
        payload: file with the whole HTTP request, or with the message of a gRPC call to `method`.
        rate: requests a second; 0 asks in a closed loop.
        warm: seconds before the measured ones.
        record: file for what `Record` reads; empty for none.
    """

    port: int
    payload: str
    connections: int
    seconds: float
    method: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    rate: float = 0.0
    warm: float = 0.0
    patience: float = 30.0
    record: str = ""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the generator saw. `statuses` are counted by HTTP status; -1 are broken connections, -2 requests that
    found every connection busy, 0 clients without patience.

    Args:
        lag_p99_ms: how late a request was sent after it was due (nothing in a closed loop).
        cpu: the generator's own CPU time [s].
    """

    statuses: dict[int, int]
    seconds: float
    p50_ms: float
    p99_ms: float
    lag_p99_ms: float
    cpu: float

    @property
    def answered(self) -> int:
        return self.statuses.get(200, 0)

    @property
    def offered(self) -> int:
        return sum(self.statuses.values())

    def outcome(self) -> Outcome:
        return Outcome(self.answered, self.offered - self.answered, self.seconds, self.p50_ms, self.p99_ms, self.cpu)


@dataclass(frozen=True)
class Plan:
    """How to ask: as `Task` says."""

    connections: int
    seconds: float
    rate: float = 0.0
    warm: float = 0.0
    patience: float = 30.0
    cpu: int | None = None
    """The CPU that the generator is bound to."""
    record: str = ""


def http(port: int, raw: bytes, plan: Plan) -> Said:
    """Send an HTTP request over and over.

    Raises:
        RuntimeError: the generator failed; its last words.
    """
    return _run(port, raw, plan, "", ())


def grpc(port: int, method: str, message: bytes, plan: Plan, metadata: Sequence[tuple[str, str]] = ()) -> Said:
    """Call a gRPC method over and over.

    Raises:
        RuntimeError: as `http`.
    """
    return _run(port, message, plan, method, metadata)


def _run(port: int, payload: bytes, plan: Plan, method: str, metadata: Sequence[tuple[str, str]]) -> Said:
    with tempfile.NamedTemporaryFile() as file:
        file.write(payload)
        file.flush()
        task = Task(
            port=port,
            payload=file.name,
            connections=plan.connections,
            seconds=plan.seconds,
            method=method,
            metadata=tuple(metadata),
            rate=plan.rate,
            warm=plan.warm,
            patience=plan.patience,
            record=plan.record,
        )
        command = pinned([sys.executable, "-m", "benchmarks.serving_bench.load.program"], plan.cpu)
        done = subprocess.run(command, cwd=ROOT, input=msgspec.json.encode(task), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr.decode()[-500:]}")
    return msgspec.json.decode(done.stdout, type=Said)


def main() -> None:
    from benchmarks.serving_bench.load.clients import Clients
    from benchmarks.serving_bench.load.record import Recorder
    from benchmarks.serving_bench.load.wire import Grpc, Http1, Wire

    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    payload = Path(task.payload).read_bytes()

    def make() -> Wire:
        return Grpc(task.method, payload, task.metadata) if task.method else Http1(payload)

    recorder = Recorder() if task.record else None
    heard = recorder.heard if recorder is not None else None
    clients = Clients(task.port, make, task.connections, patience=task.patience, heard=heard)
    before = time.process_time()
    if task.rate:
        seen = clients.constant_rate(task.rate, task.seconds, task.warm)
    else:
        seen = clients.closed_loop(task.seconds, task.warm)
    spent = time.process_time() - before
    if recorder is not None:
        recorder.write(Path(task.record))
    sys.stdout.buffer.write(msgspec.json.encode(_said(seen, task.seconds, spent)))


def _said(seen: Seen, seconds: float, spent: float) -> Said:
    took, lags = sorted(seen.took), sorted(seen.lags)
    return Said(
        statuses=dict(seen.statuses),
        seconds=seconds,
        p50_ms=1000 * percentile(took, 0.5) if took else 0.0,
        p99_ms=1000 * percentile(took, 0.99) if took else 0.0,
        lag_p99_ms=1000 * percentile(lags, 0.99) if lags else 0.0,
        cpu=spent,
    )


if __name__ == "__main__":
    main()
