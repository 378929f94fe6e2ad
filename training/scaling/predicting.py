"""How fast N workers learn, from how fast one does and from what telling each other the gradients takes.

    step(N)        = compute(N) * crowding(N) + communication(N)
    compute(N)     = T / N with the same batch, T with the same share of each; T is the step of one worker alone
    communication  = 2 (N - 1) * hop + 2 (N - 1) / N * bytes / bandwidth
    crowding(N)    = max(1, N * cores that one worker keeps busy / cores of the machine) where all share one machine, else 1

The communication is that of a ring all-reduce, which is what tf.distribute does among CPUs and, over NCCL, among GPUs: 2 (N - 1)
messages one behind the other, of 1 / N of the bytes each (P. Patarasuk and X. Yuan, Bandwidth optimal all-reduce algorithms for
clusters of workstations, Journal of Parallel and Distributed Computing 69, 2009, https://doi.org/10.1016/j.jpdc.2008.09.002). Nothing
is taken to overlap. Hop and bandwidth come from two all-reduces among the members, a number and LARGE_BYTES.
"""

from __future__ import annotations

from dataclasses import dataclass

from training.scaling.records import Kind, Measured, Point, Speed

FORMULA = (
    "step(N) = compute(N) × crowding(N) + 2(N−1) × hop + 2(N−1)/N × bytes / bandwidth; "
    "compute(N) = T/N with the same batch of all, T with the same share of each"
)
SOURCE = (
    "the cost of a ring all-reduce: Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms for clusters of "
    "workstations, J. Parallel Distrib. Comput. 69 (2009), doi:10.1016/j.jpdc.2008.09.002"
)


@dataclass(frozen=True)
class Wire:
    """What connects the workers: one message's way [s], and bytes a second."""

    hop_s: float
    bandwidth: float

    def all_reduce_s(self, workers: int, size: int) -> float:
        """How long so many take to sum so many bytes."""
        return 2 * (workers - 1) * self.hop_s + 2 * (workers - 1) / workers * size / self.bandwidth


def wire_of(measured: Measured) -> Wire:
    """From the two all-reduces of a group."""
    messages = 2 * (measured.workers - 1)
    moved = messages / measured.workers * measured.large_bytes
    longer = max(measured.large_s - measured.small_s, 1e-9)
    return Wire(measured.small_s / messages, moved / longer)


@dataclass(frozen=True)
class Alone:
    """One worker by itself on a machine with so many cores."""

    step_s: float
    batch: int
    cores_used: float
    cores: int
    gradient_bytes: int

    def rows_per_s(self, workers: int, kind: Kind, wire: Wire | None, *, shares_cores: bool) -> float:
        """Predicted of so many workers."""
        compute = self.step_s / workers if kind == "same batch" else self.step_s
        crowding = max(1.0, workers * self.cores_used / self.cores) if shares_cores else 1.0
        told = wire.all_reduce_s(workers, self.gradient_bytes) if wire is not None and workers > 1 else 0.0
        return batch_of(self.batch, workers, kind) / (compute * crowding + told)


def batch_of(batch: int, workers: int, kind: Kind) -> int:
    """Rows of a step of all workers together."""
    return batch if kind == "same batch" else batch * workers


def point(alone: Alone, workers: int, kind: Kind, speed: Speed | None, own: Wire | None, apart: Wire | None) -> Point:
    """A row of the report.

    Args:
        speed: None where it was not measured.
        own: what connected the workers when it was measured.
        apart: what connects workers with a machine each.
    """
    single = alone.batch / alone.step_s
    there = alone.rows_per_s(workers, kind, apart, shares_cores=False)
    measured = speed.rows_per_s if speed is not None else None
    return Point(
        workers=workers,
        kind=kind,
        batch=batch_of(alone.batch, workers, kind),
        rows_per_s=measured,
        efficiency=measured / (workers * single) if measured is not None else None,
        spread=speed.spread if speed is not None else None,
        here=alone.rows_per_s(workers, kind, own, shares_cores=True) if speed is not None else None,
        apart=there,
        apart_efficiency=there / (workers * single),
    )
