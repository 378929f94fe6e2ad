"""What goes wrong and how Google's metrics and logs show it. Pure; not checked against a cloud.

Metrics: https://cloud.google.com/monitoring/api/metrics_gcp. On GKE Google counts no answers of an endpoint by status: there alarms of
answers are made of what replicas write (answers.py)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from infra.context import Context, EndpointPlan
from infra.gcp import answers, names

_FAILING_SHARE = 0.05
_IDLE_S = 3600
_IDLE_CPU = 0.02
_IDLE_GPU = 0.05


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One alarm.

    Args:
        name: part of names; unique in the stack.
        filter: of the metric.
        log: filter of the log lines that ring it, in place of a metric.
        query: PromQL, in place of both; it rings for each series that the query finds.
        of: filter of what the metric is a share of; empty for itself.
        remedy: what to do, Markdown.
    """

    name: str
    title: str
    remedy: str
    filter: str = ""
    log: str = ""
    query: str = ""
    threshold: float = 0
    of: str = ""
    comparison: Literal["COMPARISON_GT", "COMPARISON_LT"] = "COMPARISON_GT"
    aligner: str = "ALIGN_RATE"
    reducer: str = "REDUCE_SUM"
    period_s: int = 300
    duration_s: int = 300
    urgent: bool = False


def signals(context: Context) -> Iterator[Signal]:
    kinds = {"vm": _machines, "cluster": _cluster, "managed": _vertex}
    yield from kinds[context.settings.kind](context)


def log_filter(context: Context) -> str:
    """Which log lines are the stack's: of its programs, and of writes to its models and endpoints."""
    keep = names.bucket(context, "keep")
    audited = " OR ".join(f'protoPayload.resourceName:"{keep.objects(prefix)}"' for prefix in ("models/", "endpoints/"))
    written = f'(resource.type="gcs_bucket" AND resource.labels.bucket_name="{keep.bucket}" AND ({audited}))'
    return " OR ".join((*_own_logs(context), written))


def _own_logs(context: Context) -> Iterator[str]:
    if context.settings.kind == "vm":
        driver = f"projects/{context.account}/logs/gcplogs-docker-driver"
        yield f'(logName="{driver}" AND jsonPayload.instance.name:"{context.base}-")'
        yield f'resource.labels.service_name="{names.reaper(context)}"'
    elif context.settings.kind == "cluster":
        namespace = context.settings.cluster.namespace
        yield f'(resource.labels.cluster_name="{names.cluster(context)}" AND resource.labels.namespace_name="{namespace}")'
    else:
        for name in context.endpoints:
            endpoint = names.endpoint_id(context, name)
            yield f'(resource.type="aiplatform.googleapis.com/Endpoint" AND resource.labels.endpoint_id="{endpoint}")'


def _machines(context: Context) -> Iterator[Signal]:
    if context.settings.images.serving is not None:
        for plan in context.endpoints.values():
            yield from _balanced(context, plan)
    machines = 'metric.type="compute.googleapis.com/instance/cpu/utilization" AND resource.type="gce_instance"'
    mine = f'metadata.user_labels.skylift-stack="{context.tags["skylift-stack"]}"'
    if any(shape.count for plan in context.pools.values() for shape in plan.shapes):
        yield Signal(
            name="idle-gpu",
            title="a training machine has done nothing for an hour",
            filter=f'{machines} AND {mine} AND metadata.user_labels.skylift-pool!=""',
            comparison="COMPARISON_LT",
            threshold=_IDLE_CPU,
            aligner="ALIGN_MEAN",
            reducer="REDUCE_NONE",
            duration_s=_IDLE_S,
            remedy="Its CPUs rest, so its GPU has nothing to do. `skylift runs` tells which run it is; `skylift cancel` ends it.",
        )
    work = names.bucket(context, "work")
    yield _logged(
        "failed-run",
        "a training machine reports trouble",
        f'resource.type="gcs_bucket" AND resource.labels.bucket_name="{work.bucket}" AND '
        f'protoPayload.methodName="storage.objects.create" AND protoPayload.resourceName:"{work.objects("live/")}" AND '
        'protoPayload.resourceName:"/boot-"',
        "`skylift logs` of the newest runs tells why. Seen in the audit log, which a stack with buckets of yours may not have.",
    )
    yield _logged(
        "reaper",
        "what is past its end is not removed",
        f'resource.type="cloud_scheduler_job" AND resource.labels.job_id="{names.reaper(context)}" AND severity>=ERROR',
        "The function that removes run groups failed: machines may be running at a price. Its log names them.",
        urgent=True,
    )


def _balanced(context: Context, plan: EndpointPlan) -> Iterator[Signal]:
    public = plan.exposure == "public"
    family = "https/external/regional" if public else "https/internal"
    resource = "http_external_regional_lb_rule" if public else "internal_http_lb_rule"
    rule = names.forwarding_rule(context, plan.name)
    part = names.slug(plan.name)
    of = f'resource.type="{resource}" AND resource.labels.forwarding_rule_name="{rule}"'
    count = f'metric.type="loadbalancing.googleapis.com/{family}/request_count" AND {of}'
    yield Signal(
        name=f"errors-{part}",
        title=f"endpoint {plan.name}: more than 5 % of the answers are errors of the server",
        filter=f"{count} AND metric.labels.response_code_class=500",
        of=count,
        threshold=_FAILING_SHARE,
        urgent=True,
        remedy=f"`skylift logs --endpoint {plan.name}` tells why; `skylift rollback {plan.name}` brings the version before.",
    )
    yield Signal(
        name=f"latency-{part}",
        title=f"endpoint {plan.name}: one answer in twenty takes more than half of its time",
        filter=f'metric.type="loadbalancing.googleapis.com/{family}/total_latencies" AND {of}',
        threshold=plan.settings.request_seconds * 1000 / 2,
        aligner="ALIGN_PERCENTILE_95",
        reducer="REDUCE_MAX",
        remedy="Raise max_replicas, or take a larger machine or an accelerator.",
    )
    yield _logged(
        f"unhealthy-{part}",
        f"endpoint {plan.name}: a machine is sick",
        f'logName="projects/{context.account}/logs/compute.googleapis.com%2Fhealthchecks" AND '
        f'resource.labels.instance_group_name:"{names.serving_group(context, plan.name)}-" AND '
        'jsonPayload.healthCheckProbeResult.healthState="UNHEALTHY" AND '
        'jsonPayload.healthCheckProbeResult.previousHealthState="HEALTHY"',
        "The group replaces it by itself; if it happens again, the serial console's log of the machine tells why.",
    )


def _vertex(context: Context) -> Iterator[Signal]:
    if context.settings.images.serving is not None:
        for plan in context.endpoints.values():
            yield from _predicting(context, plan)
    yield _logged(
        "failed-run",
        "a training job of the project failed",
        'resource.type="ml_job" AND severity>=ERROR AND "exited with a non-zero status"',
        "`skylift logs` of the newest runs tells why. Google's log of jobs does not tell stacks apart: it may be another stack's.",
    )


def _predicting(context: Context, plan: EndpointPlan) -> Iterator[Signal]:
    part = names.slug(plan.name)
    of = f'resource.type="aiplatform.googleapis.com/Endpoint" AND resource.labels.endpoint_id="{names.endpoint_id(context, plan.name)}"'
    online = 'metric.type="aiplatform.googleapis.com/prediction/online'
    asked = f"{online}/private" if plan.exposure == "private" else online
    failed = "metric.labels.response_code>=500" if plan.exposure == "private" else 'metric.labels.response_code="5xx"'
    kind = "" if plan.exposure == "private" else ' AND metric.labels.latency_type="total"'
    yield Signal(
        name=f"errors-{part}",
        title=f"endpoint {plan.name}: more than 5 % of the answers are errors of the server",
        filter=f'{asked}/response_count" AND {of} AND {failed}',
        of=f'{asked}/response_count" AND {of}',
        threshold=_FAILING_SHARE,
        urgent=True,
        remedy=f"`skylift logs --endpoint {plan.name}` tells why; `skylift rollback {plan.name}` brings the version before.",
    )
    yield Signal(
        name=f"latency-{part}",
        title=f"endpoint {plan.name}: one answer in twenty takes more than half of its time",
        filter=f'{asked}/prediction_latencies" AND {of}{kind}',
        threshold=plan.settings.request_seconds * 1000 / 2,
        aligner="ALIGN_PERCENTILE_95",
        reducer="REDUCE_MAX",
        remedy="Raise max_replicas, or take a larger machine or an accelerator.",
    )
    yield Signal(
        name=f"unhealthy-{part}",
        title=f"endpoint {plan.name}: fewer replicas than wanted",
        filter=f'{online}/replicas" AND {of}',
        threshold=plan.min_replicas,
        comparison="COMPARISON_LT",
        aligner="ALIGN_MEAN",
        duration_s=900,
        urgent=True,
        remedy="Vertex AI starts them by itself; if they do not stay, the endpoint's log tells why.",
    )
    if plan.shape.count:
        yield Signal(
            name=f"idle-gpu-{part}",
            title=f"endpoint {plan.name}: its GPUs have done nothing for an hour",
            filter=f'{online}/accelerator/duty_cycle" AND {of}',
            threshold=_IDLE_GPU,
            comparison="COMPARISON_LT",
            aligner="ALIGN_MEAN",
            reducer="REDUCE_MAX",
            duration_s=_IDLE_S,
            remedy="Nobody asks it. Lower min_replicas, take a smaller accelerator, or remove the endpoint.",
        )


def _cluster(context: Context) -> Iterator[Signal]:
    if plans := answers.serving(context):
        yield Signal(
            name="errors",
            title="an endpoint: more than 5 % of the answers are errors of the server",
            query=answers.failing(context, _FAILING_SHARE),
            urgent=True,
            remedy="The alarm names the endpoint. `skylift logs --endpoint` tells why; `skylift rollback` brings the version before.",
        )
        yield Signal(
            name="latency",
            title="an endpoint: one answer in twenty takes more than half of its time",
            query=answers.slow(context, plans),
            remedy="The alarm names the endpoint. Raise its max_replicas, or take a larger machine or an accelerator.",
        )
    cluster, namespace = names.cluster(context), context.settings.cluster.namespace
    where = f'resource.labels.cluster_name="{cluster}" AND resource.labels.namespace_name="{namespace}"'
    events = f'logName="projects/{context.account}/logs/events" AND {where} AND jsonPayload.reason='
    yield _logged(
        "unhealthy", "pods do not get well", f'{events}"BackOff"',
        "`kubectl describe pod` and `skylift logs` tell why.", urgent=True,
    )  # fmt: skip
    yield _logged(
        "failed-run", "a training job failed", f'{events}"BackoffLimitExceeded"',
        "`skylift logs` of the newest runs tells why.",
    )  # fmt: skip
    if any(shape.count for plan in context.pools.values() for shape in plan.shapes):
        yield Signal(
            name="idle-gpu",
            title="a container has held a GPU idle for an hour",
            filter=f'metric.type="kubernetes.io/container/accelerator/duty_cycle" AND resource.type="k8s_container" AND {where}',
            threshold=_IDLE_GPU * 100,
            comparison="COMPARISON_LT",
            aligner="ALIGN_MEAN",
            reducer="REDUCE_NONE",
            duration_s=_IDLE_S,
            remedy="`skylift runs` tells which run it is; `skylift cancel` ends it.",
        )


def _logged(name: str, title: str, log: str, remedy: str, *, urgent: bool = False) -> Signal:
    """An alarm of each such line. By the lines themselves: an alarm of a metric that counts them is refused for the first minutes."""
    return Signal(name=name, title=title, log=log, remedy=remedy, urgent=urgent)
