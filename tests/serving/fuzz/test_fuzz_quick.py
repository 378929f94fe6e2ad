"""Malformed input of every kind, some of it at each run of the tests; `-m slow` has the counts that are promised."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.fuzzing_parts import parsers_run, resources
from benchmarks.fuzzing_parts.http_target import Http
from benchmarks.fuzzing_parts.parsers import TARGETS

SEED = int(os.environ.get("SKYLIFT_FUZZ_SEED", "1"))
"""Another one tries other cases. What fails is told with its number: `benchmarks/fuzzing.py --seed S --only NAME:NUMBER` tries that."""
QUICK, PARSED, CONNECTIONS = 3_000, 100_000, 20_000
MOST_GROWTH = 48 * 1024 * 1024
"""Of memory over a run, after its first tenth [bytes]."""


@pytest.fixture(autouse=True)
def _quiet_models(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """ONNX Runtime says on stderr what it refuses."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    yield
    onnxruntime.set_default_logger_severity(2)


def _failures(found: list[str]) -> str:
    return "\n\n".join(found[:5])


def test_parsers_refuse_or_understand() -> None:
    done = parsers_run.run(SEED, QUICK)
    assert not done.failures, _failures(done.failures)
    assert done.counts.keys() == TARGETS.keys()


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_right_is_read_without_complaint(name: str) -> None:
    for data in TARGETS[name].seeds:
        TARGETS[name].read(data)


def test_connections_are_answered_or_refused(tmp_path: Path) -> None:
    tally = Http(tmp_path, SEED).run(QUICK)
    assert not tally.failures, _failures(tally.failures)
    assert tally.connections == QUICK and tally.statuses[200] > QUICK / 4 and tally.statuses[400] > QUICK / 10
    assert tally.compared > QUICK / 10 and tally.checked > 0


@pytest.mark.slow
def test_parsers_a_hundred_thousand_times() -> None:
    parsers_run.run(SEED, PARSED // 10, first=QUICK)
    before = resources.resident()
    done = parsers_run.run(SEED, PARSED, first=QUICK)
    assert not done.failures, _failures(done.failures)
    assert sum(done.counts.values()) == PARSED
    assert resources.resident() - before < MOST_GROWTH


@pytest.mark.slow
def test_connections_by_the_thousand(tmp_path: Path) -> None:
    http = Http(tmp_path, SEED)
    http.run(CONNECTIONS // 10, first=QUICK)
    before = resources.resident()
    tally = http.run(CONNECTIONS, first=2 * QUICK)
    assert not tally.failures, _failures(tally.failures)
    assert resources.resident() - before < MOST_GROWTH
