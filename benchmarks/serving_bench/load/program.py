"""A load generator as a process of its own: `python -m benchmarks.serving_bench.load.program` reads a task and prints what it saw."""

from __future__ import annotations

import base64
import subprocess
import sys
import time

import msgspec

from benchmarks.serving_bench import ROOT
from benchmarks.serving_bench.figures import percentile
from benchmarks.serving_bench.load.outcome import Outcome
from benchmarks.serving_bench.machine import pinned


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask, and how.

    Args:
        payload: the whole HTTP request, or the message of a gRPC call to `method`; base64.
        rate: requests a second; 0 asks in a closed loop.
        warm: seconds before the measured ones.
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


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the generator saw. `statuses` are counted by HTTP status; -1 are broken connections, 0 clients without patience.

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


def http_task(port: int, raw: bytes, connections: int, seconds: float) -> Task:
    return Task(port=port, payload=base64.b64encode(raw).decode(), connections=connections, seconds=seconds)


def grpc_task(
    port: int,
    method: str,
    message: bytes,
    connections: int,
    seconds: float,
    metadata: tuple[tuple[str, str], ...] = (),
) -> Task:
    payload = base64.b64encode(message).decode()
    return Task(port=port, payload=payload, connections=connections, seconds=seconds, method=method, metadata=metadata)


def run(task: Task, cpu: int | None = None) -> Said:
    """Do it in a process, bound to one CPU if one is named.

    Raises:
        RuntimeError: the generator failed; its last words.
    """
    command = [sys.executable, "-m", "benchmarks.serving_bench.load.program"]
    done = subprocess.run(
        pinned(command, cpu), cwd=ROOT, input=msgspec.json.encode(task), capture_output=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr.decode()[-500:]}")
    return msgspec.json.decode(done.stdout, type=Said)


def main() -> None:
    from benchmarks.serving_bench.load.clients import Clients
    from benchmarks.serving_bench.load.wire import Grpc, Http1, Wire

    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    payload = base64.b64decode(task.payload)

    def make() -> Wire:
        return Grpc(task.method, payload, task.metadata) if task.method else Http1(payload)

    clients = Clients(task.port, make, task.connections, patience=task.patience)
    before = time.process_time()
    if task.rate:
        seen = clients.constant_rate(task.rate, task.seconds, task.warm)
    else:
        seen = clients.closed_loop(task.seconds, task.warm)
    spent = time.process_time() - before
    took, lags = sorted(seen.took), sorted(seen.lags)
    said = Said(
        statuses=dict(seen.statuses),
        seconds=task.seconds,
        p50_ms=1000 * percentile(took, 0.5) if took else 0.0,
        p99_ms=1000 * percentile(took, 0.99) if took else 0.0,
        lag_p99_ms=1000 * percentile(lags, 0.99) if lags else 0.0,
        cpu=spent,
    )
    sys.stdout.buffer.write(msgspec.json.encode(said))


if __name__ == "__main__":
    main()
