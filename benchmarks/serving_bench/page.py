"""docs/serving-benchmarks.md and its picture, from what a run found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving_bench.charts import Bar, Panel, picture
from benchmarks.serving_bench.figures import Cell, Claim, merged
from benchmarks.serving_bench.promises import FULL
from benchmarks.serving_bench.report import CELL_HEAD, LIMIT_HEAD, Report, cell_rows, claim_row, limit_row
from benchmarks.serving_bench.subjects import DEFAULTS

NAME = "serving-benchmarks"

INTRODUCTION = """\
# Serving: figures

Written by `benchmarks/serving.py --write-docs`; the same command measures it on your machine. All figures come from one run. In it
servers were started in turns, each cell was measured {rounds} times for {seconds:g} s, and each figure is the median of its repeats
(`spread` is the greatest less the least rate, as a share of the median). Everything ran on two CPUs: the server, and the load
generator with it. So ratios count more than figures: what matters is what a server leaves of the machine.

Machine: {machine}. Load from {generator}, gRPC from a generator of ours on plain sockets.

The model has 1.2 million parameters (28x28x1, Conv32-Conv64-MaxPool-Dense128-Dense10) and every server has the same file of it. A
request carries one row: 3.3 KB as v2 binary and gRPC, 17 KB as JSON. `in process` is ONNX Runtime in a loop: no server can be cheaper
than its batch of 32 (the batches of a busy server are about as large).
"""

NOTES = {
    "overload": """\
Server and load generator have a CPU each. The peak is what the server does in a closed loop at 64 connections. Then requests come at a
constant rate of four times that, whatever the server does, over 1,024 connections; one that finds all busy is lost, a client waits for a
second. Times count from the moment a request was due. "Unloaded" is half the peak at a constant rate.""",
    "large": """\
The limit is the model alone on arrays that are there already, in two processes of one thread. Memory is that of a server with one
worker: the most while it answers one body after the other, less what it had before.""",
}


def write(report: Report, folder: Path) -> None:
    """Replace the page and its picture."""
    (folder / f"{NAME}.md").write_text(page(report))
    panels = panels_of(report)
    if panels:
        (folder / f"{NAME}.svg").write_text(picture("Requests a second and CPU time per request, by server", panels))


def page(report: Report) -> str:
    """Markdown."""
    head = INTRODUCTION.format(
        rounds=report.rounds, seconds=report.seconds, machine=report.machine, generator=report.generator
    )
    parts = [head]
    if report.warning:
        parts.append(f"**{report.warning}**\n")
    if panels_of(report):
        parts.append(f"![Requests a second and CPU time per request, by server]({NAME}.svg)\n")
    parts += ["## Promises\n", *_promises(report.claims)]
    parts += _left_out(report)
    if report.measured.limits:
        parts += ["## In process\n", markdown(LIMIT_HEAD, map(limit_row, report.limits()))]
    if report.measured.cells:
        parts += ["## All cells\n", *_settings(report), markdown(CELL_HEAD, cell_rows(report.measured))]
    for section, rows in report.details.items():
        parts += [f"## Behind the promises: {section}\n", *([NOTES[section] + "\n"] if section in NOTES else [])]
        parts.append(markdown(list(rows[0]), ([_plain(value) for value in row.values()] for row in rows)))
    return "\n".join(parts)


def _promises(claims: Sequence[Claim]) -> list[str]:
    parts = []
    for section in dict.fromkeys(claim.section for claim in claims):
        rows = (claim_row(claim) for claim in claims if claim.section == section)
        parts += [f"### {section}\n", markdown(("promise", "measured", "limit", "", "figures behind it"), rows)]
    return parts


def _left_out(report: Report) -> list[str]:
    said = [f"- {server} {way}".rstrip() + f": {why}" for (server, way), why in report.measured.skipped.items()]
    said += [f"- {section}: {why}" for section, why in report.left_out.items()]
    return ["## Not measured\n", "\n".join(said) + "\n"] if said else []


def _settings(report: Report) -> list[str]:
    return ["\n".join(f"- {name}: {text}" for name, text in report.settings.items()) + "\n"] if report.settings else []


def panels_of(report: Report) -> list[Panel]:
    """What the picture shows: every way of asking at 64 connections."""
    cells = [cell for cell in merged(report.measured.cells) if cell.connections == FULL]
    one, two = report.measured.limit(1, 32), report.measured.limit(report.machine.cpus, 32)
    if not cells or one is None or two is None:
        return []
    rates = [Bar(f"in process, {report.machine.cpus} of one thread", two.rate, "limit")]
    rates += [Bar(_name(cell), cell.rate, _kind(cell)) for cell in sorted(cells, key=lambda cell: -cell.rate)]
    cpu = [Bar("in process, batch 32", one.cpu_ms, "limit")]
    cpu += [Bar(_name(cell), cell.cpu_ms, _kind(cell)) for cell in sorted(cells, key=lambda cell: cell.cpu_ms)]
    return [
        Panel(f"Requests a second at {FULL} connections: longer is better", rates),
        Panel("CPU time per request [ms], each line ten times the one before: shorter is better", cpu, True),
    ]


def _name(cell: Cell) -> str:
    return f"{cell.server}, {cell.way}"


def _kind(cell: Cell) -> str:
    return "ours" if cell.server.startswith(DEFAULTS) else "theirs"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what would end a cell is escaped."""
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines) + "\n"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_plain(one) for one in value)
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:,.0f}"
        if isinstance(value, int | float)
        else str(value)
    )
