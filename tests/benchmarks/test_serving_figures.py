"""The arithmetic of benchmarks/serving.py: repeats, promises, moments; and what it writes."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from benchmarks.serving_bench import charts, figures, limits, machine, page, processes, promises, switches
from benchmarks.serving_bench.figures import Cell, Claim
from benchmarks.serving_bench.large import Large
from benchmarks.serving_bench.limits import Limit
from benchmarks.serving_bench.matrix import Measured
from benchmarks.serving_bench.overload import Overload
from benchmarks.serving_bench.report import Report, number, table
from benchmarks.serving_bench.subjects import BINARY, DEFAULTS, EVERYTHING, GRPC, JSON

CELL = Cell(DEFAULTS, BINARY, 64, requests=8000, seconds=2.0, p50_ms=10, p99_ms=25, cpu_ms=0.15)
MACHINE = machine.Machine("x86_64", 2, "AVX2", "3.11.7", 24.0)


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert figures.percentile(values, 0.5) == 50
    assert figures.percentile(values, 0.99) == 99
    assert figures.percentile([7.0], 0.99) == 7
    assert math.isnan(figures.percentile([], 0.5))


def test_repeats_count_by_the_median_of_each_figure_and_all_failures() -> None:
    repeats = [
        CELL,
        replace(CELL, requests=9000, p99_ms=90, cpu_ms=0.2, failed=2),
        replace(CELL, requests=4000, p99_ms=20, cpu_ms=0.14, failed=1),
    ]
    merged = figures.merge(repeats)
    assert (merged.rate, merged.p99_ms, merged.cpu_ms) == (4000, 25, 0.15)
    assert (merged.failed, merged.repeats) == (3, 3)
    assert merged.spread == pytest.approx((4500 - 2000) / 4000)


def test_cells_of_other_ways_and_connections_stay_apart() -> None:
    cells = [CELL, replace(CELL, connections=1), replace(CELL, way=JSON), CELL]
    assert [cell.repeats for cell in figures.merged(cells)] == [2, 1, 1]


@pytest.mark.parametrize(
    ("value", "at_most", "verdict"),
    [
        (1.2, True, "holds"),
        (1.21, True, "does not hold"),
        (1.2, False, "holds"),
        (1.19, False, "does not hold"),
        (None, True, "not measured"),
        (math.nan, True, "not measured"),
    ],
)
def test_verdicts(value: float | None, at_most: bool, verdict: str) -> None:
    assert Claim("s", "w", value, 1.2, at_most).verdict == verdict


def test_a_run_fails_by_a_promise_that_does_not_hold_and_not_by_one_that_was_not_measured() -> None:
    report = Report(MACHINE, 1.0, 1, "wrk", claims=[Claim("s", "w", None, 1.0), Claim("s", "w", 1.0, 1.0)])
    assert report.is_kept()
    report.claims.append(Claim("s", "w", 2.0, 1.0))
    assert not report.is_kept()


def test_limits_of_processes_add_up_and_tell_how_much_of_the_machine_was_theirs() -> None:
    one = {"rows": 800.0, "seconds": 1.0, "cpu": 0.4}
    found = limits.together(32, [one, {"rows": 400.0, "seconds": 2.0, "cpu": 0.8}])
    assert (found.processes, found.rate) == (2, 1000)
    assert found.cpu_ms == pytest.approx(1.0)
    assert found.share == pytest.approx(0.5)


def measured(**cells: float) -> Measured:
    found = Measured()
    found.limits = {(1, 32): [Limit(1, 32, 8000, 0.125)], (2, 32): [Limit(2, 32, 16000, 0.125)]}
    for way in (BINARY, JSON, GRPC):
        found.cells.append(replace(CELL, way=way, requests=12000, seconds=1.0, cpu_ms=0.15))
        found.cells.append(replace(CELL, way=way, connections=1, p50_ms=0.5))
    for peer, rate in cells.items():
        found.cells.append(replace(CELL, server=f"{peer} 1.0", way="JSON", requests=rate, seconds=1.0))
    return found


def by_name(claims: list[Claim]) -> dict[str, Claim]:
    return {claim.what: claim for claim in claims}


def test_every_line_of_what_is_promised_of_one_row_has_its_claim() -> None:
    claims = by_name(promises.claims(measured(MLServer=1000, BentoML=1000, LitServe=500), 2))
    assert claims["CPU per request, v2 binary"].value == pytest.approx(1.2)
    assert [claims[f"CPU per request, {way}"].limit for way in (BINARY, JSON, GRPC)] == [1.2, 1.4, 2.3]
    assert claims["throughput at 64 connections, v2 binary"].value == pytest.approx(0.75)
    assert claims["throughput at 64 connections, TF Serving JSON"].limit == 0.62
    assert claims["p99 at 64 connections, v2 binary"].value == 25
    assert claims["p50 at 1 connection, TF Serving JSON"].holds
    assert claims["v2 binary against MLServer 1.0"].value == pytest.approx(12)
    assert claims["TF Serving JSON against BentoML 1.0"].verdict == "holds"
    assert claims["v2 binary against LitServe 1.0"].limit == 18
    assert claims["TF Serving JSON against FastAPI + Keras"].note == "left out"


def test_what_was_not_served_says_so() -> None:
    found = measured()
    found.cells = [cell for cell in found.cells if cell.way != GRPC]
    found.skipped[DEFAULTS, GRPC] = "not served"
    claim = by_name(promises.claims(found, 2))["CPU per request, gRPC Predict"]
    assert (claim.verdict, claim.note) == ("not measured", "not served")


def test_every_feature_on_stands_beside_the_defaults() -> None:
    found = measured()
    found.cells.append(replace(CELL, server=EVERYTHING, cpu_ms=0.25, requests=8000, seconds=1.0))
    claims = by_name(promises.claims(found, 2))
    assert claims["CPU per request, v2 binary"].note.endswith("every feature on: 2.00 times")
    assert claims["throughput at 64 connections, v2 binary"].note.endswith("every feature on: 0.50")


def test_overload_is_judged_by_goodput_by_accepted_times_and_by_memory() -> None:
    memory = [100.0] * 5 + [104.0] * 5
    rates = {"offered": 16000.0, "refused": 10000.0, "gave_up": 0.0, "lost": 0.0, "broken": 0.0}
    more = {"generator_limit": 30000.0, "lag_p99_ms": 1.0, "peak_p99_ms": 20.0, "quiet_p99_ms": 2.0}
    found = Overload(
        "JSON", peak=4000, unloaded_p99_ms=5, goodput=3000, accepted_p99_ms=16, memory=memory, **rates, **more
    )
    goodput, times, grown = found.claims()
    assert (goodput.value, goodput.verdict) == (0.75, "does not hold")
    assert (times.value, times.verdict) == (3.2, "does not hold")
    assert grown.value == pytest.approx(1.04) and grown.holds


def test_memory_is_compared_with_the_body_where_that_is_large() -> None:
    found = Large("bodies", "v2 binary", 100 * 2**20, 160, 900, 1000, 64, 0, 200.0, 450.0)
    throughput, memory = found.claims()
    assert (throughput.value, throughput.verdict) == (0.9, "holds")
    assert (memory.value, memory.verdict) == (2.5, "holds")
    assert len(replace(found, body_bytes=2**20).claims()) == 1


def test_requests_under_way_in_a_switch_count_to_it() -> None:
    spans = [(0.0, 1.0), (0.9, 2.1), (2.5, 2.6), (3.1, 3.2), (4.0, 5.0)]
    during, usual = switches.divided(spans, [(2.0, 3.0)])
    assert during == pytest.approx([0.1, 1.2])
    assert usual == pytest.approx([0.1, 1.0, 1.0])


def test_cpu_time_of_children_counts_also_when_they_have_ended() -> None:
    burn = "sum(range(20_000_000))"
    code = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print('ended', flush=True); input()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    spent = processes.cpu_seconds(parent.pid)
    parent.communicate(b"\n")
    assert spent >= 0.1
    assert processes.cpu_seconds(parent.pid) == 0


def test_own_memory_is_seen() -> None:
    assert 5 < processes.memory_mib(os.getpid()) <= processes.memory_mib(os.getpid(), "VmHWM")


def test_vectors_are_told_by_class() -> None:
    assert machine.vectors({"avx2", "avx512f", "avx512_vnni"}) == "AVX-512 with VNNI"
    assert machine.vectors({"sse2"}) == "no known vectors"


def report() -> Report:
    claims = promises.claims(measured(MLServer=1000), 2)
    return Report(MACHINE, 2.0, 3, "wrk", measured(MLServer=1000), claims, {"starts": [{"ready": [0.5, 0.25]}]})


def test_the_page_holds_every_promise_and_every_cell() -> None:
    text = page.page(report())
    for claim in report().claims:
        assert f"| {claim.what} |" in text
    assert text.count(f"| {DEFAULTS} | ") == 6
    assert "2 CPUs (x86_64, AVX2)" in text
    assert "ready" in text and "0.5, 0.25" in text
    assert "did other things" not in text


def test_a_busy_machine_is_told() -> None:
    disturbed = report()
    disturbed.measured.limits[2, 32].append(Limit(2, 32, 8000, 0.125))
    assert "only 50% of its CPUs were left" in page.page(disturbed)
    assert "only 50% of its CPUs were left" in disturbed.text()


def test_the_picture_is_xml_with_bars_as_long_as_their_values() -> None:
    drawn = charts.picture(
        "a < b", [charts.Panel("t", [charts.Bar("x & y", 100, "ours"), charts.Bar("z", 25, "theirs")])]
    )
    root = ElementTree.fromstring(drawn)
    bars = [one for one in root.iter("{http://www.w3.org/2000/svg}rect") if one.get("rx")]
    widths = [float(bar.get("width", "0")) for bar in bars]
    assert widths[0] == pytest.approx(4 * widths[1])
    assert "prefers-color-scheme: dark" in drawn


def test_a_logarithmic_panel_has_the_same_length_for_each_power() -> None:
    bars = [charts.Bar("a", value, "ours") for value in (0.1, 1.0, 10.0)]
    root = ElementTree.fromstring(charts.picture("t", [charts.Panel("t", bars, True)]))
    widths = [float(one.get("width", "0")) for one in root.iter("{http://www.w3.org/2000/svg}rect") if one.get("rx")]
    assert widths[2] - widths[1] == pytest.approx(widths[1] - widths[0], abs=1.1)


def test_why_something_is_missing_names_no_folder() -> None:
    assert figures.reason(OSError("no such file: /home/me/cache/model.onnx")) == "no such file: model.onnx"
    assert figures.reason(ValueError()) == "ValueError"
    assert page.markdown(("a|b",), [["c|d"]]).count("\\|") == 2


def test_tables_line_up() -> None:
    assert table(("name", "n"), [["a", "10"], ["long name", "9"]]).splitlines()[1:] == [
        "a          10",
        "long name   9",
    ]
    assert number(1234.5) == "1,234"
