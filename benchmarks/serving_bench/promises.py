"""What is promised of one row a request, from what was measured of all servers."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.serving_bench.figures import Cell, Claim, ratio
from benchmarks.serving_bench.matrix import Measured
from benchmarks.serving_bench.subjects import BINARY, DEFAULTS, EVERYTHING, GRPC, JSON

FULL = 64
"""Connections at which a server is fully used."""
ONE_ROW, PEERS = "One row a request", "Against other servers"

CPU_LIMITS = {BINARY: 1.2, JSON: 1.4, GRPC: 2.3}
RATE_LIMITS = {BINARY: 0.72, JSON: 0.62}
P99_MS, ALONE_P50_MS = 30.0, 0.6


@dataclass(frozen=True)
class Versus:
    """How many times a peer's rate ours is, at least. `peer` is the beginning of its name."""

    peer: str
    binary: float | None
    json: float | None


VERSUS = (
    Versus("MLServer", 6, 5),
    Versus("BentoML", 14, 12),
    Versus("LitServe", 18, 15),
    Versus("FastAPI + Keras", None, 60),
)


def claims(measured: Measured, cores: int) -> list[Claim]:
    """All of them, also those whose figures are missing."""
    return [*_of_ours(measured, cores), *_against_peers(measured)]


def _of_ours(measured: Measured, cores: int) -> list[Claim]:
    one, all_cores = measured.limit(1, 32), measured.limit(cores, 32)
    found: list[Claim] = []
    for way, limit in CPU_LIMITS.items():
        cell, everything = measured.cell(DEFAULTS, way, FULL), measured.cell(EVERYTHING, way, FULL)
        base = one.cpu_ms if one else None
        value = ratio(cell.cpu_ms if cell else None, base)
        note = _both(cell, everything, base) if cell else _why(measured, way)
        found.append(Claim(ONE_ROW, f"CPU per request, {way}", value, limit, True, "times the in-process cost", note))
    for way, limit in RATE_LIMITS.items():
        cell, everything = measured.cell(DEFAULTS, way, FULL), measured.cell(EVERYTHING, way, FULL)
        base = all_cores.rate if all_cores else None
        value = ratio(cell.rate if cell else None, base)
        note = _rates(cell, everything, base) if cell else _why(measured, way)
        what = f"throughput at {FULL} connections, {way}"
        found.append(Claim(ONE_ROW, what, value, limit, False, f"of the limit of {cores} cores", note))
    for connections, limit, what in ((FULL, P99_MS, "p99"), (1, ALONE_P50_MS, "p50")):
        for way in RATE_LIMITS:
            cell = measured.cell(DEFAULTS, way, connections)
            value = (cell.p99_ms if what == "p99" else cell.p50_ms) if cell else None
            plural = "connection" if connections == 1 else "connections"
            note = "" if cell else _why(measured, way)
            found.append(Claim(ONE_ROW, f"{what} at {connections} {plural}, {way}", value, limit, True, "ms", note))
    return found


def _both(cell: Cell, everything: Cell | None, base: float | None) -> str:
    said = f"{cell.cpu_ms:.3f} ms, the model alone {base or 0:.3f} ms at batch 32"
    if everything is None:
        return said + "; every feature on: not measured"
    return f"{said}; every feature on: {ratio(everything.cpu_ms, base) or 0:.2f} times"


def _rates(cell: Cell, everything: Cell | None, base: float | None) -> str:
    said = f"{cell.rate:,.0f} a second of {base or 0:,.0f}"
    if everything is None:
        return said + "; every feature on: not measured"
    return f"{said}; every feature on: {ratio(everything.rate, base) or 0:.2f}"


def _against_peers(measured: Measured) -> list[Claim]:
    found: list[Claim] = []
    for versus in VERSUS:
        theirs = next((one for one in map(str, _servers(measured)) if one.startswith(versus.peer)), None)
        rate = max((one.rate for one in _at_full(measured, theirs)), default=None) if theirs else None
        for way, limit in ((BINARY, versus.binary), (JSON, versus.json)):
            if limit is None:
                continue
            ours = measured.cell(DEFAULTS, way, FULL)
            value = ratio(ours.rate if ours else None, rate)
            note = f"{rate:,.0f} a second there" if rate else _missing(measured, versus.peer)
            found.append(
                Claim(PEERS, f"{way} against {theirs or versus.peer}", value, limit, False, "times its rate", note)
            )
    return found


def _servers(measured: Measured) -> list[str]:
    return list(dict.fromkeys(cell.server for cell in measured.cells))


def _at_full(measured: Measured, server: str) -> list[Cell]:
    ways = dict.fromkeys(cell.way for cell in measured.cells if cell.server == server)
    return [cell for way in ways if (cell := measured.cell(server, way, FULL)) is not None]


def _why(measured: Measured, way: str) -> str:
    skipped = measured.skipped
    return skipped.get((DEFAULTS, way)) or skipped.get((DEFAULTS, "")) or "left out"


def _missing(measured: Measured, peer: str) -> str:
    return next((why for (server, _), why in measured.skipped.items() if server.startswith(peer)), "left out")
