"""What is worth an alarm on each kind of target. Names of metrics: https://learn.microsoft.com/azure/azure-monitor/reference/metrics-index.

What Azure does not measure is read from what the stack's own programs write: errors and latency of endpoints on machines and clusters,
and GPUs of run groups (written.py). Of GPUs of endpoints on machines neither tells; there CPU use stands in.
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from infra.azure.monitoring import Metric, Query
from infra.azure.online import Online
from infra.azure.serving_set import ServingSet
from infra.context import Context

_BALANCERS = "Microsoft.Network/loadBalancers"
_SETS = "Microsoft.Compute/virtualMachineScaleSets"
_ML = "Microsoft.MachineLearningServices/workspaces"
_ENDPOINTS = f"{_ML}/onlineEndpoints"
_DEPLOYMENTS = f"{_ENDPOINTS}/deployments"


def of_machines(context: Context, sets: Mapping[str, ServingSet]) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for endpoint, made in sets.items():
        found[f"unhealthy-{endpoint}"] = Metric(
            scope=made.balancer,
            namespace=_BALANCERS,
            name="DipAvailability",
            below=90,
            says=f"machines of endpoint {endpoint} do not answer /readyz",
        )
        if context.endpoints[endpoint].shape.count:
            found[f"idle-{endpoint}"] = Metric(
                scope=made.id,
                namespace=_SETS,
                name="Percentage CPU",
                below=1,
                window="PT1H",
                severity=2,
                says=f"machines with GPUs of endpoint {endpoint} have had nothing to do for an hour (by their CPUs)",
            )
    return found


def of_online(context: Context, endpoints: Mapping[str, Online]) -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for endpoint, made in endpoints.items():
        plan = context.endpoints[endpoint]
        found[f"errors-{endpoint}"] = Metric(
            scope=made.id,
            namespace=_ENDPOINTS,
            name="RequestsPerMinute",
            above=1,
            window="PT5M",
            where={"statusCodeClass": "5xx"},
            says=f"endpoint {endpoint} answers with errors of its own (5xx)",
        )
        found[f"slow-{endpoint}"] = Metric(
            scope=made.id,
            namespace=_ENDPOINTS,
            name="RequestLatency_P95",
            above=plan.settings.request_seconds * 500,  # half of the time allowed, in ms
            severity=2,
            says=f"one in twenty requests of endpoint {endpoint} takes more than half of the time allowed",
        )
        found[f"unhealthy-{endpoint}"] = Metric(
            scope=made.deployment,
            namespace=_DEPLOYMENTS,
            name="DeploymentCapacity",
            below=1,
            of="Maximum",
            says=f"endpoint {endpoint} has no instance",
        )
        if plan.shape.count:
            found[f"idle-{endpoint}"] = Metric(
                scope=made.deployment,
                namespace=_DEPLOYMENTS,
                name="GpuUtilizationPercentage",
                below=5,
                window="PT1H",
                severity=2,
                says=f"GPUs of endpoint {endpoint} have had nothing to do for an hour",
            )
    return found


def failed_jobs(workspace: pulumi.Input[str]) -> Metric:
    """Runs that failed on Azure ML.

    Args:
        workspace: resource id.
    """
    return Metric(
        scope=workspace,
        namespace=_ML,
        name="Failed Runs",
        above=0,
        of="Total",
        says="a run failed; `skylift runs` lists it",
    )


def boot_reports() -> Query:
    """Machines that gave up: the boot script writes why to the work bucket, and each write there is in the log."""
    return Query(
        text=(
            "StorageBlobLogs | where OperationName == 'PutBlob' and StatusText == 'Success' "
            "| where ObjectKey matches regex @'/work/(live/[^/]+/boot-|replicas/_boot/)'"
        ),
        says="a machine could not start its work; `skylift logs` of the run, or the report in the work bucket, says why",
    )


def reaper_failures(job: str) -> Query:
    """Rounds of the reaper that failed."""
    return Query(
        text=f"ContainerAppConsoleLogs | where JobName == '{job}' | where Log has 'Traceback' or Log has 'Error'",
        says="the reaper failed: run groups past their end may still be billed",
    )
