"""Servers against each other and against the limit: every cell several times, in turns, so that what the machine does beside hits all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.serving_bench import asking, calling, limits
from benchmarks.serving_bench.asking import Ask
from benchmarks.serving_bench.figures import Cell, merged, reason
from benchmarks.serving_bench.limits import Limit
from benchmarks.serving_bench.load import program, wrk
from benchmarks.serving_bench.load.outcome import Outcome
from benchmarks.serving_bench.model import Model
from benchmarks.serving_bench.processes import children, cpu_seconds, proportional_mib

BATCHES = (1, 8, 32, 64)
WARM_SECONDS = 1.0

Say = Callable[[str], None]


class Live(Protocol):
    """A server that answers."""

    @property
    def pid(self) -> int: ...

    @property
    def port(self) -> int: ...

    @property
    def grpc_port(self) -> int | None: ...

    @property
    def is_secure(self) -> bool:
        """Whether it takes TLS alone."""
        ...


@dataclass(frozen=True)
class Call:
    """gRPC's Predict with a message."""

    message: bytes
    metadata: tuple[tuple[str, str], ...] = ()
    way: str = calling.WAY


@dataclass(frozen=True)
class Subject:
    """A server to be measured: how to start it until a block ends, and what to ask it."""

    name: str
    start: Callable[[], AbstractContextManager[Live]]
    asks: Sequence[Ask | Call]
    connections: Sequence[int] = (1, 16, 64, 256)
    note: str = ""


@dataclass
class Measured:
    """What came of it. `skipped` says by server and way why there is no figure."""

    cells: list[Cell] = field(default_factory=list)
    limits: dict[tuple[int, int], list[Limit]] = field(default_factory=dict)
    skipped: dict[tuple[str, str], str] = field(default_factory=dict)

    def limit(self, processes: int, batch: int) -> Limit | None:
        """The median of the repeats."""
        found = sorted(self.limits.get((processes, batch), []), key=lambda one: one.rate)
        return found[len(found) // 2] if found else None

    @property
    def share(self) -> float:
        """Least share of the CPUs that any in-process measurement had; 1 where there was none."""
        return min((one.share for found in self.limits.values() for one in found), default=1.0)

    def cell(self, server: str, way: str, connections: int) -> Cell | None:
        return next((one for one in merged(self.cells) if one.key == (server, way, connections)), None)


def measure(
    subjects: Sequence[Subject], model: Model, expected: Any, *, seconds: float, rounds: int, cpus: list[int], say: Say
) -> Measured:
    """All subjects in turns, `rounds` times.

    Args:
        expected: what the model answers to the rows that are asked for.
        seconds: of each cell.
    """
    measured = Measured()
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}: in-process limits")
        _add_limits(measured, model, seconds, cpus)
        for subject in subjects:
            say(f"round {number} of {rounds}: {subject.name}")
            try:
                with subject.start() as live:
                    _ask(measured, subject, live, expected, seconds)
            except (OSError, RuntimeError) as error:
                measured.skipped[subject.name, ""] = reason(error)
                say(f"  {subject.name}: {measured.skipped[subject.name, '']}")
    return measured


def _add_limits(measured: Measured, model: Model, seconds: float, cpus: list[int]) -> None:
    for batch in BATCHES:
        found = limits.measure(model, batch, seconds, cpus[:1])
        measured.limits.setdefault((1, batch), []).append(found)
    measured.limits.setdefault((len(cpus), 32), []).append(limits.measure(model, 32, seconds, cpus))


def _ask(measured: Measured, subject: Subject, live: Live, expected: Any, seconds: float) -> None:
    for ask in subject.asks:
        wrong = check(live, ask, expected)
        if wrong:
            measured.skipped[subject.name, ask.way] = reason(wrong)
            continue
        load(live, ask, min(64, max(subject.connections)), WARM_SECONDS)
        for connections in subject.connections:
            measured.cells.append(one(subject.name, live, ask, connections, seconds))


def one(server: str, live: Live, ask: Ask | Call, connections: int, seconds: float) -> Cell:
    """One cell, once."""
    before = cpu_seconds(live.pid)
    seen = load(live, ask, connections, seconds)
    spent = cpu_seconds(live.pid) - before
    if not seen.answered:
        raise RuntimeError(f"{ask.way} at {connections} connections: none of {seen.failed} requests was answered")
    return Cell(
        server=server,
        way=ask.way,
        connections=connections,
        requests=seen.answered,
        seconds=seen.seconds,
        p50_ms=seen.p50_ms,
        p99_ms=seen.p99_ms,
        cpu_ms=1000 * spent / seen.answered,
        client_cpu_ms=1000 * seen.client_cpu / seen.answered,
        memory_mib=proportional_mib([live.pid, *children(live.pid)]),
        failed=seen.failed,
    )


def check(live: Live, ask: Ask | Call, expected: Any) -> str:
    """What is wrong with the answers to a request; empty where they are the model's."""
    if isinstance(ask, Ask):
        return asking.problem(live.port, ask, expected, is_secure=live.is_secure)
    if live.grpc_port is None:
        return "not served"
    return calling.problem(live.grpc_port, ask.message, expected, metadata=ask.metadata)


def load(live: Live, ask: Ask | Call, connections: int, seconds: float) -> Outcome:
    """A closed loop: wrk where it is installed, else our own; our own for gRPC."""
    if isinstance(ask, Call):
        assert live.grpc_port is not None
        plan = program.Plan(connections, seconds)
        return program.grpc(live.grpc_port, calling.METHOD, ask.message, plan, ask.metadata).outcome()
    if wrk.is_there():
        return wrk.run(live.port, ask, connections, seconds, is_secure=live.is_secure)
    if live.is_secure:
        raise RuntimeError("TLS is measured with wrk only")
    return program.http(live.port, ask.raw(), program.Plan(connections, seconds)).outcome()
