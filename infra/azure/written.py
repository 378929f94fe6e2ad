"""Alarms on what the stack's own programs write into its log workspace, where Azure itself counts nothing. Pure; not checked against a
cloud.

A Standard load balancer sees neither status codes nor how long an answer takes: replicas sum up their requests once a minute
(serving/supervisor/summary.py). No metric of a machine tells what its GPU does: machines of run groups say so (infra/boot/train.sh), and
runs in pods (training/run/gpus.py).
"""

from __future__ import annotations

from infra.azure.monitoring import Query
from infra.context import Context

IN_SYSLOG = "Syslog | extend line = SyslogMessage"
"""Of machines: machine_logs.py."""
_ERRORS_PERCENT = 5
_IDLE_MINUTES = 60


def in_pods(context: Context) -> str:
    """Lines of the pods of a cluster: a line that is JSON may be there as an object or as a text.
    https://learn.microsoft.com/azure/azure-monitor/reference/tables/containerlogv2"""
    namespace = context.settings.cluster.namespace
    return f"ContainerLogV2 | where PodNamespace == '{namespace}' | extend line = tostring(LogMessage)"


def answers(context: Context, lines: str) -> dict[str, Query]:
    """One alarm for all endpoints, which rings for each of them and each trouble by itself: `errors` where more than 5 % of the answers
    are errors of the server, `slow` where one in twenty takes more than half of the time allowed, on the average of replicas and
    minutes, of which each tells its 95th percentile. Nothing without an image, for then nothing answers.

    Args:
        lines: where they are: a table and its column `line`.
    """
    plans = context.endpoints.values() if context.settings.images.serving is not None else ()
    if not plans:
        return {}
    limits = ", ".join(f"endpoint == '{plan.name}', {plan.settings.request_seconds * 500:.1f}" for plan in plans)
    text = (
        f"{lines} | where line has 'requests' | extend said = parse_json(line) | where tostring(said.event) == 'requests' "
        "| summarize TimeGenerated = max(TimeGenerated), requests = sum(tolong(said['count'])), "
        "errors = sum(tolong(said['errors'])), p95_ms = avg(todouble(said['p95_ms'])) by endpoint = tostring(said['endpoint']) "
        f"| extend allowed_ms = case({limits}, real(null)) "
        f"| extend trouble = pack_array(iff(100 * errors > {_ERRORS_PERCENT} * requests, 'errors', ''), "
        "iff(p95_ms > allowed_ms, 'slow', '')) "
        "| mv-expand trouble to typeof(string) | where isnotempty(trouble)"
    )
    says = "an endpoint answers with errors of its own or slowly, as its dimensions say; `skylift logs --endpoint` tells more"
    return {"answers": Query(text=text, says=says, by=("endpoint", "trouble"))}


def idle_runs(context: Context, lines: str) -> dict[str, Query]:
    """GPUs of runs that have done nothing for an hour; nothing without pools that have any. Untried on hardware.

    Args:
        lines: where they are: a table and its column `line`.
    """
    has_gpus = any(shape.count for pool in context.pools.values() for shape in pool.shapes)
    if not has_gpus or context.settings.images.training is None:
        return {}
    text = (
        f"{lines} | where line has 'idle_minutes' | extend said = parse_json(line) | where tostring(said.event) == 'gpu' "
        "| summarize TimeGenerated = max(TimeGenerated), idle = max(tolong(said['idle_minutes'])) by run = tostring(said['run']) "
        f"| where idle >= {_IDLE_MINUTES}"
    )
    says = "a run holds GPUs that have done nothing for an hour; `skylift cancel` ends it"
    return {"idle-runs": Query(text=text, says=says, by=("run",), severity=2)}
