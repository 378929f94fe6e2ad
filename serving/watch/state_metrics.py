"""How the server is: models, queues, loads, drift and what its processes use."""

from __future__ import annotations

from collections.abc import Sequence

from serving.watch.checks import LEAST_WINDOW
from serving.watch.exposition import Page, labels, version_text
from serving.watch.snapshots import Drifted, Snapshot
from skylift.artifacts.psi import psi

DRIFT_ROWS = LEAST_WINDOW
"""Of fewer rows chance alone moves the index: it is not shown."""
DRIFT_FEATURES = 64
"""So many features of a tensor are shown one by one; all of them count for the greatest."""


def render(page: Page, snapshot: Snapshot) -> None:
    _now(page, snapshot)
    _loads(page, snapshot)
    _drift(page, snapshot.drift)
    _process(page, snapshot)


def _now(page: Page, snapshot: Snapshot) -> None:
    states: dict[str, int] = {}
    queued: dict[str, int] = {}
    for one in snapshot.gauges.versions:
        known = labels(model=one.model, version=version_text(one.version))
        text = f"{known},{labels(state=one.state, platform=one.platform, canary=str(one.is_canary).lower())}"
        states[text] = states.get(text, 0) + 1
        queued[known] = queued.get(known, 0) + one.queue_rows
    page.family("skylift_model_state", "gauge", "Workers in which a version is in this state.")
    for text, workers in states.items():
        page.sample(text, workers)
    page.family("skylift_queue_rows", "gauge", "Rows that wait.")
    for text, rows in queued.items():
        page.sample(text, rows)
    for name, value, help_text in (
        ("skylift_connections", snapshot.gauges.connections, "Open connections."),
        ("skylift_requests_in_flight", snapshot.gauges.in_flight, "Requests without an answer yet."),
        ("skylift_ready", int(snapshot.gauges.is_ready), "Whether the server is ready."),
        ("skylift_processes", snapshot.processes, "Processes of the server that these metrics are the sum of."),
    ):
        page.family(name, "gauge", help_text)
        page.sample("", value)
    page.family("skylift_build_info", "gauge", "What the server is.")
    page.sample(labels(**dict(sorted(snapshot.info.items()))), 1)


def _loads(page: Page, snapshot: Snapshot) -> None:
    counts: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for one in snapshot.loads:
        known = labels(model=one.model)
        seconds[known] = seconds.get(known, 0.0) + one.load_us / 1e6
        for result, count in (("ok", one.succeeded), ("failed", one.failed)):
            text = f'{known},result="{result}"'
            counts[text] = counts.get(text, 0) + count
    page.family("skylift_loads_total", "counter", "Versions that were loaded, or could not be.")
    for text, count in counts.items():
        page.sample(text, count)
    page.family("skylift_load_seconds_total", "counter", "Time that loading took.")
    for text, took in seconds.items():
        page.sample(text, took)


def _drift(page: Page, drift: Sequence[Drifted]) -> None:
    known = [one for one in drift if one.rows >= DRIFT_ROWS]
    values = [psi(one.expected, one.counts) for one in known]
    greatest: dict[str, float] = {}
    places: dict[str, int] = {}
    page.family("skylift_drift_psi", "gauge", "Population stability index against the training profile.")
    for one, value in zip(known, values, strict=True):
        tensor = _tensor(one)
        greatest[tensor] = max(greatest.get(tensor, 0.0), value)
        places[tensor] = places.get(tensor, 0) + 1
        if places[tensor] <= DRIFT_FEATURES:
            page.sample(f"{tensor},{labels(feature=one.feature)}", round(value, 4))
    page.family("skylift_drift_psi_max", "gauge", "The greatest of all features of a tensor.")
    for tensor, value in greatest.items():
        page.sample(tensor, round(value, 4))
    page.family("skylift_drift_rows", "gauge", "Rows in the window.")
    for tensor, rows in {_tensor(one): one.rows for one in drift}.items():
        page.sample(tensor, rows)


def _tensor(one: Drifted) -> str:
    return labels(model=one.model, version=version_text(one.version), tensor=one.tensor, window=one.window)


def _process(page: Page, snapshot: Snapshot) -> None:
    process = snapshot.process
    page.family("process_cpu_seconds_total", "counter", "CPU time of all processes, user and system.")
    page.sample("", round(process.cpu_seconds, 3))
    for name, value, help_text in (
        ("process_resident_memory_bytes", process.resident_bytes, "Resident memory of all processes."),
        ("process_virtual_memory_bytes", process.virtual_bytes, "Virtual memory of all processes."),
        ("process_open_fds", process.open_fds, "Open file descriptors of all processes."),
        ("process_threads", process.threads, "Threads of all processes."),
        ("process_start_time_seconds", round(process.started, 3), "When the oldest process started, since 1970."),
    ):
        page.family(name, "gauge", help_text)
        page.sample("", value)
