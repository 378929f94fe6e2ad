"""Versions change while the server is asked as fast as it answers: what fails, and how much slower answers are meanwhile."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving_bench.asking import Ask
from benchmarks.serving_bench.figures import Claim, percentile
from benchmarks.serving_bench.load import program
from benchmarks.serving_bench.load.program import Plan, Said
from benchmarks.serving_bench.load.record import Record
from benchmarks.serving_bench.model import Model, changed
from benchmarks.serving_bench.ours import Bench

SECTION = "Switching versions"
CONNECTIONS = 64
AFTER_SECONDS = 0.5
"""A switch is over so long after the first answer of the new version."""
PAUSE_SECONDS = 1.5
"""Between the end of a switch and the next, to see what is usual."""
LEAD_SECONDS = 2.0


@dataclass(frozen=True)
class Switches:
    """Requests during all, those that failed, p99 within and outside of the switches [ms], times to the first new answer [s]."""

    switches: int
    requests: int
    failed: int
    during_p99_ms: float
    usual_p99_ms: float
    to_first_answer: list[float]

    def claims(self) -> list[Claim]:
        note = f"{self.during_p99_ms:.1f} ms against {self.usual_p99_ms:.1f} ms between the switches"
        what = f"{self.switches} switches under full load"
        return [
            Claim(SECTION, f"{what}: failed requests", self.failed, 0, True, "", f"of {self.requests:,}"),
            Claim(
                SECTION,
                f"{what}: p99 during a switch",
                self.during_p99_ms / self.usual_p99_ms,
                2.0,
                True,
                "times the usual",
                note,
            ),
        ]

    def plain(self) -> dict[str, Any]:
        return asdict(self)


def measure(bench: Bench, model: Model, ask: Ask, workers: int, switches: int = 10) -> Switches:
    """Deploy one of two versions after the other. The first of them must be deployed already."""
    versions = [bench.publish(model, changed(model)), bench.publish(model)]
    seconds = LEAD_SECONDS + switches * (PAUSE_SECONDS + AFTER_SECONDS + 1.5) + PAUSE_SECONDS
    moments: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as scratch, bench.server("--workers", str(workers)) as server:
        path = Path(scratch) / "record"
        said: list[Said] = []
        plan = Plan(CONNECTIONS, seconds, warm=1.0, record=str(path))
        asking = threading.Thread(target=lambda: said.append(program.http(server.port, ask.raw(), plan)))
        asking.start()
        time.sleep(LEAD_SECONDS + 1.0)
        each = (seconds - LEAD_SECONDS - PAUSE_SECONDS) / switches
        begun = time.monotonic()
        for number in range(switches):
            made = bench.deploy(versions[number % 2])
            moments[made] = time.monotonic()
            time.sleep(max(0.0, begun + (number + 1) * each - time.monotonic()))
        asking.join()
        if not said:
            raise RuntimeError("the load generator failed")
        return evaluate(Record(path), moments, said[0].offered - said[0].answered)


def evaluate(record: Record, moments: dict[int, float], failed: int) -> Switches:
    """Figures of a record. `moments` are when the pointer was changed to each deployment, by `time.monotonic`.

    Raises:
        RuntimeError: a deployment never answered.
    """
    late = [number for number in moments if number not in record.first]
    if late:
        raise RuntimeError(f"{len(late)} of {len(moments)} deployments had not answered by the end")
    windows = [(moment, record.first[number] + AFTER_SECONDS) for number, moment in moments.items()]
    during, usual = divided(record.spans, windows)
    return Switches(
        switches=len(moments),
        requests=len(record.spans),
        failed=failed,
        during_p99_ms=1000 * percentile(during, 0.99),
        usual_p99_ms=1000 * percentile(usual, 0.99),
        to_first_answer=[record.first[number] - moment for number, moment in moments.items()],
    )


def divided(
    spans: Sequence[tuple[float, float]], windows: Sequence[tuple[float, float]]
) -> tuple[list[float], list[float]]:
    """How long requests took, sorted: those that were under way in any window, and all others."""
    during: list[float] = []
    usual: list[float] = []
    for began, ended in spans:
        is_within = any(began <= last and ended >= first for first, last in windows)
        (during if is_within else usual).append(ended - began)
    return sorted(during), sorted(usual)
