"""A cluster's workloads with everything on, declared against strict mocks: what the tests of this folder look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from infra.kubernetes.workloads import (
    GKE_METADATA,
    POOL_LABEL,
    Account,
    AutoscalerArgs,
    Place,
    Quota,
    ServingArgs,
    Subject,
    Toleration,
    Workloads,
    WorkloadsArgs,
)
from tests.clouds.mocks import Recorded, Resource, provision

IMAGE = "europe-west4-docker.pkg.dev/acme/skylift/serving@sha256:" + "a" * 64
NAMESPACE = "team-vision"
TAGS = {"owner": "ml@example.com", "cost centre": "42/7"}

CPU = ServingArgs(min_replicas=2, max_replicas=6)
GPU = ServingArgs(
    gpus=1,
    memory_gib=12,
    place=Place(
        node_selector={POOL_LABEL: "t4"},
        tolerations=[Toleration(key="kubernetes.azure.com/scalesetpriority", value="spot")],
    ),
    exposure="internal",
    allowed_cidrs=["10.8.0.0/16"],
    tls_secret="digits-tls",
)


def arguments(**changes: Any) -> WorkloadsArgs:
    """Everything on; `changes` are fields of WorkloadsArgs."""
    whole = WorkloadsArgs(
        namespace=NAMESPACE,
        stack="vision-prod",
        quota=Quota(gpus=4, cpus=64, memory_gib=256, pods=50),
        metadata=GKE_METADATA,
        keep="gs://acme-keep",
        work="gs://acme-work",
        tags=TAGS,
        service_accounts={
            "serving": Account(
                annotations={"azure.workload.identity/client-id": "0000"},
                pod_labels={"azure.workload.identity/use": "true"},
            )
        },
        launchers=[Subject(kind="Group", name="trainers")],
        callers=[Subject(kind="User", name="ada@example.com")],
        endpoints={"tabular": CPU, "digits": GPU},
        serving_image=IMAGE,
        device_plugin=True,
        autoscaler=AutoscalerArgs(cluster="vision", region="eu-west-1"),
        internal_load_balancer_annotations={"networking.gke.io/load-balancer-type": "Internal"},
    )
    return replace(whole, **changes)


def workloads(*, preview: bool = False, **changes: Any) -> Recorded:
    """What the program declares."""
    return provision(lambda: Workloads("workloads", arguments(**changes)), preview=preview)


def kind(resource: Resource) -> str:
    return resource.type.rpartition(":")[2]


def manifests(recorded: Recorded) -> list[dict[str, Any]]:
    """The objects as the API server would get them, in the order they were declared."""
    return [manifest(one) for one in recorded.resources if one.is_custom and one.type.startswith("kubernetes:")]


def manifest(resource: Resource) -> dict[str, Any]:
    """What the provider makes of the inputs: the dashes of `x-kubernetes-…` come back."""
    inputs: dict[str, Any] = _dashed(resource.inputs)
    assert {"apiVersion", "kind"} <= inputs.keys(), resource.name
    return inputs


def _dashed(value: Any) -> Any:
    if isinstance(value, dict):
        return {_dashed_key(key): _dashed(one) for key, one in value.items()}
    return [_dashed(one) for one in value] if isinstance(value, list) else value


def _dashed_key(key: str) -> str:
    return key.replace("_", "-") if key.startswith("x_kubernetes_") else key
