"""From a stack's settings to what its cluster runs: the same for GKE, EKS and AKS."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from infra.context import Context, EndpointPlan, PoolPlan
from infra.kubernetes.namespace import Quota
from infra.kubernetes.naming import GPU, GPU_NODES, POOL_LABEL
from infra.kubernetes.pods import Place, Toleration
from infra.kubernetes.serving_args import Exposure, ServingArgs

CPU_SHARE, MEMORY_SHARE = 0.8, 0.7
"""Of a machine, what one replica asks for; the rest is the system's and the nodes' own agents'. One replica fills one node."""

SYSTEM_MACHINES = {"aws": "m5.xlarge", "gcp": "e2-standard-4", "azure": "Standard_D4s_v5"}
"""4 CPUs and 16 GiB."""


def system_machine(context: Context) -> str:
    """Machine type of the system pool."""
    return context.settings.cluster.system_machine or SYSTEM_MACHINES[context.settings.cloud]


def system_least(context: Context) -> int:
    """Machines that the system pool always has."""
    return min(2 if context.is_prod else 1, context.settings.cluster.system_max)


def quota(context: Context) -> Quota:
    """What pools and endpoints may come to together."""
    machines = [(pool.shapes[0], pool.settings.max_machines) for pool in context.pools.values()]
    # One more of each endpoint: a new replica comes before the old one goes.
    machines += [(endpoint.shape, endpoint.max_replicas + 1) for endpoint in context.endpoints.values()]
    return Quota(
        gpus=sum(shape.count * many for shape, many in machines),
        cpus=max(1, sum(shape.cpus * many for shape, many in machines)),
        memory_gib=max(1, math.ceil(sum(shape.memory_gib * many for shape, many in machines))),
    )


def node_labels(name: str, gpus: int) -> dict[str, str]:
    """Labels of the nodes of a pool, or of an endpoint's own nodes."""
    return {POOL_LABEL: name, **(GPU_NODES if gpus else {})}


def node_taint(name: str, gpus: int) -> tuple[str, str]:
    """Key and value of the taint (NoSchedule) that keeps everything else off these nodes, so that they can go back to none."""
    return (GPU, "present") if gpus else (POOL_LABEL, name)


def serving_nodes(endpoint: str) -> str:
    """What the nodes of an endpoint are called."""
    return f"serve-{endpoint}"


def place(name: str, gpus: int, more: Sequence[Toleration] = ()) -> Place:
    """Where a pod of the pool stands. Tolerating GPU nodes is the pod's own affair, see pods.tolerations()."""
    own = () if gpus else (Toleration(key=POOL_LABEL, value=name),)
    return Place(node_selector={POOL_LABEL: name}, tolerations=(*own, *more))


def template_body(plan: PoolPlan, more: Sequence[Toleration] = ()) -> dict[str, object]:
    """What a launcher puts into the pods of a run: node selector, tolerations, GPUs."""
    gpus = plan.shapes[0].count
    where = place(plan.name, gpus, more)
    tolerations = [*where.tolerations, *([Toleration(key=GPU)] if gpus else [])]
    return {
        "nodeSelector": dict(where.node_selector),
        "tolerations": [
            {"key": one.key, "operator": "Exists" if one.value is None else "Equal", "effect": one.effect}
            | ({} if one.value is None else {"value": one.value})
            for one in tolerations
        ],
        "gpus": gpus,
    }


def serving(
    context: Context, cidr: Sequence[str], more: Mapping[str, Sequence[Toleration]] | None = None
) -> dict[str, ServingArgs]:
    """Every endpoint of the stack.

    Args:
        cidr: of the stack's network, which reaches private endpoints.
        more: tolerations by endpoint, of taints that the cloud itself puts on nodes.
    """
    return {name: _serving(plan, cidr, (more or {}).get(name, ())) for name, plan in context.endpoints.items()}


def _serving(plan: EndpointPlan, cidr: Sequence[str], more: Sequence[Toleration]) -> ServingArgs:
    settings, shape = plan.settings, plan.shape
    exposure: Exposure = "public" if plan.exposure == "public" else "internal"
    everyone = settings.allowed_ranges or ["0.0.0.0/0"]
    return ServingArgs(
        min_replicas=plan.min_replicas,
        max_replicas=plan.max_replicas,
        cpus=round(shape.cpus * CPU_SHARE, 1),
        memory_gib=round(shape.memory_gib * MEMORY_SHARE, 1),
        gpus=shape.count,
        place=place(serving_nodes(plan.name), shape.count, more),
        cpu_percent=settings.scale_at_cpu,
        exposure=exposure,
        allowed_cidrs=everyone if exposure == "public" else list(cidr),
        tls_secret=settings.certificate,
        workers=settings.workers,
        threads=settings.threads,
        backend=settings.backend,
        queue_rows=settings.queue_rows,
        max_batch_rows=settings.max_batch_rows,
        drain_seconds=settings.drain_seconds,
    )
