"""Rows and bodies that are large: how much of the machine's own speed is left, and what memory a body takes.

The limit is the model alone on arrays that are there already, in as many processes: nothing is received, read or answered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.serving_bench import asking, limits
from benchmarks.serving_bench.asking import Ask
from benchmarks.serving_bench.figures import Claim
from benchmarks.serving_bench.limits import Limit
from benchmarks.serving_bench.load import program, wrk
from benchmarks.serving_bench.load.outcome import Outcome
from benchmarks.serving_bench.load.program import Plan
from benchmarks.serving_bench.model import Model
from benchmarks.serving_bench.ours import Bench, Server
from benchmarks.serving_bench.processes import forget_peak, memory_mib

SECTION = "Large rows"
HUGE_BYTES = 100_000_000
MIB = 2**20


@dataclass(frozen=True)
class Large:
    """One kind of request. `limit` and `rate` are rows a second; memory is that of one worker for one body at a time [MiB]."""

    what: str
    way: str
    body_bytes: int
    rows: int
    rate: float
    limit: float
    limit_batch: int
    failed: int
    memory_before: float
    memory_peak: float

    def claims(self) -> list[Claim]:
        what = f"{self.what}, {self.way}"
        rates = f"{self.rate:,.0f} rows a second, the model alone {self.limit:,.0f} (batch {self.limit_batch})"
        failed = f"; {self.failed} requests failed" if self.failed else ""
        grown = self.memory_peak - self.memory_before
        taken = f"{grown:.0f} MiB more than before, the body has {self.body_bytes / MIB:.0f} MiB"
        claims = [
            Claim(SECTION, f"{what}: throughput", self.rate / self.limit, 0.8, False, "of the limit", rates + failed)
        ]
        if self.body_bytes > 50 * MIB:
            claims.append(
                Claim(
                    SECTION, f"{what}: peak memory", grown * MIB / self.body_bytes, 3.0, True, "times the body", taken
                )
            )
        return claims

    def plain(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Kind:
    what: str
    model: Model
    rows: int
    connections: int
    make: Callable[[str, Any], Ask]
    limit_batches: tuple[int, ...]

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.what} ({self.make.__name__})"

    @property
    def is_huge(self) -> bool:
        return self.rows > 64


def kinds(cnn: Model, images: Model) -> list[Kind]:
    """What is asked; 100 MB of pictures are 166 of them."""
    huge = HUGE_BYTES // (4 * int(np.prod(images.row)))
    return [
        Kind("pictures of 224x224x3, one a request", images, 1, 16, asking.v2_binary, (1, 8)),
        Kind("pictures of 224x224x3, one a request", images, 1, 16, pixels, (1, 8)),
        Kind("64 rows of 28x28x1", cnn, 64, 8, asking.v2_binary, (64,)),
        Kind("64 rows of 28x28x1", cnn, 64, 8, asking.tfs_json, (64,)),
        Kind("bodies of 100 MB", images, huge, 2, asking.v2_binary, (64,)),
        Kind("bodies of 100 MB", images, huge, 2, pixels, (64,)),
    ]


def pixels(model: str, rows: Any) -> Ask:
    """Whole numbers from 0 to 255, as most clients have them: 0.5 MB for a picture. Bodies are filled up to 100 MB."""
    whole = np.rint(rows * 255).astype(int)
    if len(rows) > 64:
        text = len(str(whole[0].tolist()))
        whole = whole[np.resize(np.arange(len(rows)), HUGE_BYTES // text)]
    return asking.tfs_json(model, whole)


def measure(bench: Bench, kind: Kind, seconds: float, cpus: list[int]) -> Large:
    """One kind; its model must be deployed.

    Raises:
        RuntimeError: a request is not answered.
    """
    ask = kind.make(kind.model.name, kind.model.rows(kind.rows))
    limit = _limit(kind, seconds, cpus)
    with bench.server("--workers", str(len(cpus))) as server:
        rows = _check(server, ask, kind.model.outputs)
        _load(server, ask, kind.connections, 1.0)
        seen = _load(server, ask, kind.connections, max(seconds, 10.0) if len(ask.body) > MIB * 50 else seconds)
    limit = max(limit, _limit(kind, seconds, cpus), key=lambda one: one.rate)  # the machine may have been busy at first
    before, peak = _memory(bench, ask)
    return Large(
        kind.what,
        ask.way,
        len(ask.body),
        rows,
        seen.answered * rows / seen.seconds,
        limit.rate,
        limit.batch,
        seen.failed,
        before,
        peak,
    )


def _limit(kind: Kind, seconds: float, cpus: list[int]) -> Limit:
    """With the batch of the kind's that is computed fastest."""
    found = [limits.measure(kind.model, batch, seconds, cpus) for batch in kind.limit_batches]
    return max(found, key=lambda one: one.rate)


def _check(server: Server, ask: Ask, outputs: int) -> int:
    """The rows of a request, which is answered once."""
    status, body, headers = asking.once(server.port, ask)
    if status != 200:
        raise RuntimeError(f"{ask.way}: status {status}: {body[:150].decode('utf-8', 'replace')}")
    return int(ask.read(body, headers).size) // outputs


def _load(server: Server, ask: Ask, connections: int, seconds: float) -> Outcome:
    if wrk.is_there() and len(ask.body) < MIB:
        return wrk.run(server.port, ask, connections, seconds)
    return program.http(server.port, ask.raw(), Plan(connections, seconds)).outcome()


def _memory(bench: Bench, ask: Ask) -> tuple[float, float]:
    """Of a server with one worker: before, and the most while it answers the request twice, one after the other."""
    with bench.server("--workers", "1") as server:
        (worker,) = server.workers
        before = memory_mib(worker)
        forget_peak(worker)
        for _ in range(2):
            asking.once(server.port, ask)
        return before, memory_mib(worker, "VmHWM")
