"""Errors and slowness of endpoints on GKE, where Google counts no answers by status: from what replicas write into their logs once a
minute (serving/supervisor/summary.py). Pure; not checked against a cloud.

Metrics of log lines: https://cloud.google.com/logging/docs/logs-based-metrics/distribution-metrics. Their names in PromQL:
https://cloud.google.com/monitoring/promql/promql-mapping#naming-conventions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from infra.context import Context, EndpointPlan
from infra.gcp import names

FIELDS = ("count", "errors", "p95_ms")
"""Of a line: each becomes a distribution, of which the sums and the numbers of lines are asked for."""
_WINDOW = "5m"


def serving(context: Context) -> list[EndpointPlan]:
    """Endpoints whose replicas write: none without an image."""
    is_there = context.settings.kind == "cluster" and context.settings.images.serving is not None
    return list(context.endpoints.values()) if is_there else []


def metric(context: Context, field: str) -> str:
    """Name of the log metric of a field, the same in PromQL."""
    return f"{re.sub('[^a-z0-9]', '_', context.base)}_{field}"


def lines(context: Context) -> str:
    """Which log lines are summaries of the stack's replicas."""
    return (
        f'resource.type="k8s_container" AND resource.labels.cluster_name="{names.cluster(context)}" AND '
        f'resource.labels.namespace_name="{context.settings.cluster.namespace}" AND jsonPayload.event="requests"'
    )


def failing(context: Context, share: float) -> str:
    """PromQL: endpoints of whose answers more than this share are errors."""
    return f"{_ratio(context, 'errors', 'sum', 'count', 'sum')} > {share:g}"


def slow(context: Context, plans: Iterable[EndpointPlan]) -> str:
    """PromQL: endpoints that are slower than half of the time allowed, by the average of what replicas tell of their minutes: of each
    minute only the 95th percentile is known."""
    each = (
        f"{_ratio(context, 'p95_ms', 'sum', 'p95_ms', 'count', of=plan.name)} > {plan.settings.request_seconds * 500:g}"
        for plan in plans
    )
    return " or ".join(f"({one})" for one in each)


def _ratio(context: Context, part: str, of_part: str, whole: str, of_whole: str, *, of: str = "") -> str:
    where = 'monitored_resource="k8s_container"' + (f',endpoint="{of}"' if of else "")

    def total(field: str, kind: str) -> str:
        series = f"logging_googleapis_com:user_{metric(context, field)}_{kind}{{{where}}}"
        return f"sum by (endpoint) (increase({series}[{_WINDOW}]))"

    return f"{total(part, of_part)} / {total(whole, of_whole)}"
