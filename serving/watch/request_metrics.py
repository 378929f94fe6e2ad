"""Our metrics of requests, in Prometheus' base units."""

from __future__ import annotations

from collections.abc import Mapping

from serving.watch import histograms
from serving.watch.exposition import Page, labels, version_text
from serving.watch.histograms import summed_up
from serving.watch.snapshots import Cell, Snapshot


def render(page: Page, snapshot: Snapshot) -> None:
    _requests(page, snapshot)
    _batches(page, snapshot)
    _counters(page, snapshot)


def _requests(page: Page, snapshot: Snapshot) -> None:
    cells = snapshot.cells
    page.family("skylift_requests_total", "counter", "Requests for predictions by HTTP status, or gRPC's.")
    for cell in cells:
        known = f"{_of(cell)},{labels(api=cell.api, canary=str(cell.is_canary).lower())}"
        for status, count in sorted(cell.statuses.items()):
            page.sample(f'{known},status="{status}"', count)
    page.family("skylift_request_duration_seconds", "histogram", "From a request's arrival to its answer.")
    whole = [(f"{_of(cell)},{labels(canary=str(cell.is_canary).lower())}", cell.whole) for cell in cells]
    for text, counts in summed_up(whole).items():
        page.histogram(text, histograms.SECONDS, counts)
    page.family("skylift_request_seconds", "histogram", "Phases of a request: parse, queue, batch, run, write.")
    for phase in Cell.PHASES:
        for text, counts in summed_up((_of(cell), getattr(cell, phase)) for cell in cells).items():
            page.histogram(f'{text},phase="{phase}"', histograms.SECONDS, counts)
    for name, attribute, help_text in (
        ("skylift_rows_total", "rows", "Rows of requests."),
        ("skylift_request_bytes_total", "request_bytes", "Bytes of requests' bodies."),
        ("skylift_response_bytes_total", "response_bytes", "Bytes of answers' bodies."),
    ):
        page.family(name, "counter", help_text)
        sums: dict[str, int] = {}
        for cell in cells:
            sums[_of(cell)] = sums.get(_of(cell), 0) + getattr(cell, attribute)
        for text, value in sums.items():
            page.sample(text, value)


def _batches(page: Page, snapshot: Snapshot) -> None:
    page.family("skylift_batch_rows", "histogram", "Rows that were computed at once.")
    for one in snapshot.batches:
        page.histogram(labels(model=one.model, version=version_text(one.version)), histograms.ROWS, one.rows)


def _of(cell: Cell) -> str:
    return labels(model=cell.model, version=version_text(cell.version), protocol=cell.protocol)


_LABELS: Mapping[str, tuple[str, str]] = {
    "skylift_shed_total": ("reason", "Requests that were turned away early."),
    "skylift_samples_total": ("outcome", "Requests that were chosen as samples, by what became of them."),
    "skylift_log_lines_dropped_total": ("log", "Lines of the access log that could not be written."),
    "skylift_spans_total": ("outcome", "Spans of traces, by what became of them."),
    "skylift_drift_skipped_total": ("reason", "Requests that could not be compared with the training profile."),
    "skylift_watch_errors_total": ("part", "Faults of watching itself; the request went on."),
}
"""Counters by one label: its name, and what is counted."""


def _counters(page: Page, snapshot: Snapshot) -> None:
    for metric, values in sorted(snapshot.counters.items()):
        label, help_text = _LABELS.get(metric, ("kind", metric))
        page.family(metric, "counter", help_text)
        for value, count in sorted(values.items()):
            page.sample(labels(**{label: value}), count)
