"""A snapshot as a page for Prometheus."""

from __future__ import annotations

from serving.watch import request_metrics, state_metrics, tfs_metrics
from serving.watch.exposition import Page, wants_open
from serving.watch.snapshots import Snapshot

PATHS = ("/metrics", "/monitoring/prometheus/metrics")
"""Where Prometheus asks by default, and where it asks TensorFlow Serving."""


def render(snapshot: Snapshot, accept: str = "") -> tuple[bytes, str]:
    """The page and its content type.

    Args:
        accept: the request's header of that name; OpenMetrics is written for who asks for it.
    """
    page = Page(is_open=wants_open(accept))
    request_metrics.render(page, snapshot)
    state_metrics.render(page, snapshot)
    tfs_metrics.render(page, snapshot)
    return page.encode(), page.content_type
