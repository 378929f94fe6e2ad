"""All targets in turns, and what came of them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fuzzing_parts import atheris_target, parsers_run, resources, tls_target
from benchmarks.fuzzing_parts.grpc_target import Grpc
from benchmarks.fuzzing_parts.http_target import Http
from benchmarks.fuzzing_parts.openapi_target import OpenApi
from benchmarks.fuzzing_parts.parsers import TARGETS as PARSERS
from benchmarks.fuzzing_parts.sockets_target import Sockets

_MANY = 10**9
_WARM = 2_000
"""Cases before memory is looked at: caches are full then."""


@dataclass
class Part:
    """What came of a target."""

    name: str
    count: int
    seconds: float
    details: dict[str, Any]
    memory: tuple[int, int] = (0, 0)
    failures: list[str] = field(default_factory=list)


@dataclass
class Report:
    seed: int
    parts: list[Part] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        return [one for part in self.parts for one in part.failures]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        parts = {
            part.name: {
                "count": part.count,
                "seconds": round(part.seconds, 1),
                "memory_before": part.memory[0],
                "memory_after": part.memory[1],
                **part.details,
            }
            for part in self.parts
        }
        return {"seed": self.seed, "parts": parts, "failures": self.failures}

    def text(self) -> str:
        """For people."""
        lines = [f"{'target':10} {'cases':>12} {'a second':>9} {'memory before, after':>24}"]
        for part in self.parts:
            memory = " ".join(f"{one / 2**20:8.1f} MiB" for one in part.memory)
            lines.append(f"{part.name:10} {part.count:12,} {part.count / max(part.seconds, 0.001):9,.0f} {memory:>24}")
            lines += [f"    {key}: {_shown(value)}" for key, value in part.details.items()]
        lines.append(f"\n{len(self.failures)} failures, seed {self.seed}")
        return "\n".join([*lines, *(f"\n{one[:3000]}" for one in self.failures)])


def _shown(value: Any) -> str:
    if not isinstance(value, dict):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return ", ".join(f"{key} {count:,}" for key, count in sorted(value.items(), key=lambda one: -one[1]))


Run = Callable[[Path, int, float, Path], Part]


def _parsers(folder: Path, seed: int, seconds: float, cache: Path) -> Part:
    parsers_run.run(seed, _WARM)
    before, ends = resources.resident(), time.monotonic() + seconds
    done = parsers_run.run(seed, _MANY, first=_WARM, until=ends)
    memory = (before, resources.resident())
    return Part("parsers", sum(done.counts.values()), 0.0, {"targets": dict(done.counts)}, memory, done.failures)


def _http(folder: Path, seed: int, seconds: float, cache: Path) -> Part:
    http, ends = Http(folder, seed), time.monotonic() + seconds
    http.run(_WARM)
    before = resources.resident()
    tally = http.run(_MANY, first=_WARM, until=ends)
    memory = (before, resources.resident())
    details = {
        "requests": tally.requests,
        "compared with another parser": tally.compared,
        "answers calculated again": tally.checked,
        "statuses": dict(tally.statuses),
    }
    return Part("http", tally.connections, 0.0, details, memory, tally.failures)


def _grpc(folder: Path, seed: int, seconds: float, cache: Path) -> Part:
    target, ends = Grpc(folder, seed), time.monotonic() + seconds
    target.run(_WARM)
    before = resources.resident()
    done = target.run(_MANY, first=_WARM, until=ends)
    details = {"codes": dict(done.codes), "methods": dict(done.methods)}
    return Part("grpc", done.calls, 0.0, details, (before, resources.resident()), done.failures)


def _sockets(folder: Path, seed: int, seconds: float, cache: Path) -> Part:
    count = max(300, int(seconds * 60))
    done = Sockets(folder, seed).run(count, until=time.monotonic() + seconds)
    before, after = (max((one for one, _ in held), default=0) for held in (done.held_before, done.held_after))
    details = {"kinds": dict(done.kinds), "slowest answer to others [s]": round(done.slowest, 2)}
    failures = done.failures + tls_target.run(folder / "tls", seed, 200)
    return Part("sockets", done.exchanges, 0.0, details, (before, after), failures)


def _openapi(folder: Path, seed: int, seconds: float, cache: Path) -> Part:
    done = OpenApi(folder, seed).run(max(20, int(seconds)), until=time.monotonic() + seconds)
    details = {"operations": done.operations, "statuses": dict(done.statuses)}
    return Part("openapi", done.requests, 0.0, details, (0, 0), done.failures)


def _atheris(folder: Path, seed: int, seconds: float, cache: Path) -> Part:
    found = atheris_target.run(cache, seed, seconds)
    return Part("atheris", sum(found.counts.values()), 0.0, {"targets": found.counts}, (0, 0), found.failures)


TARGETS: dict[str, tuple[Run, float]] = {
    "parsers": (_parsers, 3),
    "http": (_http, 4),
    "grpc": (_grpc, 1.5),
    "sockets": (_sockets, 1),
    "openapi": (_openapi, 1),
    "atheris": (_atheris, 4),
}
"""And its share of the time."""
USUAL = ("parsers", "http", "grpc", "sockets", "openapi")


def run(names: Sequence[str], seed: int, seconds: float, cache: Path, say: Callable[[str], None]) -> Report:
    """All of these targets, in about so many seconds together."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # else it says on stderr what it refuses
    report = Report(seed)
    whole = sum(TARGETS[name][1] for name in names)
    for name in names:
        work, share = TARGETS[name]
        say(f"{name}: {seconds * share / whole:.0f} s")
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="skylift-fuzzing-") as folder:
            part = work(Path(folder), seed, seconds * share / whole, cache)
        part.seconds = time.monotonic() - began
        report.parts.append(part)
        say(f"{name}: {part.count:,} cases, {len(part.failures)} failures")
    return report


def again(only: str, seed: int) -> str:
    """What is wrong with one case, if anything."""
    name, _, number = only.partition(":")
    with tempfile.TemporaryDirectory(prefix="skylift-fuzzing-") as folder:
        if name in PARSERS:
            return parsers_run.attempt(PARSERS[name], seed, int(number))
        if name == "http":
            return "\n".join(Http(Path(folder), seed).run(1, first=int(number)).failures)
        if name == "grpc":
            return "\n".join(Grpc(Path(folder), seed).run(1, first=int(number)).failures)
        if name == "sockets":
            return "\n".join(Sockets(Path(folder), seed).run(1, first=int(number)).failures)
    raise SystemExit(f"there is no case {only!r}: NAME is http, grpc, sockets or one of {', '.join(PARSERS)}")
