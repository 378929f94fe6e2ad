"""From a stack's settings to what its cluster runs: the same for GKE, EKS and AKS."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import pulumi

from infra.context import Context, EndpointPlan, PoolPlan
from infra.kubernetes import nodes
from infra.kubernetes.namespace import Quota
from infra.kubernetes.naming import GPU, POOL_LABEL
from infra.kubernetes.pods import Place, Toleration
from infra.kubernetes.serving_args import Exposure, ServingArgs
from infra.kubernetes.workloads import Workloads
from infra.promise import Made, Served, Variant
from skylift.stack.outputs import Access

CPU_SHARE, MEMORY_SHARE = 0.8, 0.7
"""Of a machine, what one replica asks for; the rest is the system's and the nodes' own agents'. One replica fills one node."""

SETTLED_SECONDS = 300.0


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


def _place(name: str, gpus: int, more: Sequence[Toleration] = ()) -> Place:
    """Where a pod of the pool stands. Tolerating GPU nodes is the pod's own affair, see pods.tolerations()."""
    own = () if gpus else (Toleration(key=POOL_LABEL, value=name),)
    return Place(node_selector={POOL_LABEL: name}, tolerations=(*own, *more))


def _body(plan: PoolPlan, more: Sequence[Toleration]) -> dict[str, object]:
    """What a launcher puts into the pods of a run: node selector, tolerations, GPUs."""
    gpus = plan.shapes[0].count
    where = _place(plan.name, gpus, more)
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


def serving(context: Context, cidr: Sequence[str], api_keys: Callable[[str], str]) -> dict[str, ServingArgs]:
    """Every endpoint of the stack.

    Args:
        cidr: of the stack's network, which reaches private endpoints.
        api_keys: where in the cloud's secret store the hashes of an endpoint's API keys lie.
    """
    plans = context.endpoints.items()
    return {name: _serving(plan, cidr, api_keys(name) if plan.settings.api_keys else "") for name, plan in plans}


def _serving(plan: EndpointPlan, cidr: Sequence[str], api_keys: str) -> ServingArgs:
    settings, shape = plan.settings, plan.shape
    exposure: Exposure = "public" if plan.exposure == "public" else "internal"
    everyone = settings.allowed_ranges or ["0.0.0.0/0"]
    return ServingArgs(
        min_replicas=plan.min_replicas,
        max_replicas=plan.max_replicas,
        cpus=round(shape.cpus * CPU_SHARE, 1),
        memory_gib=round(shape.memory_gib * MEMORY_SHARE, 1),
        gpus=shape.count,
        place=_place(nodes.serving(plan.name), shape.count),
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
        approval=settings.approval,
        api_keys=api_keys,
    )


def made(
    context: Context,
    workloads: Workloads,
    access: Access,
    place: Mapping[str, pulumi.Input[str]],
    *,
    on_spot: Sequence[Toleration] = (),
    more: Mapping[str, object] | None = None,
) -> Made:
    """What the stack's outputs tell of the cluster.

    Args:
        access: how endpoints that are not public are reached.
        place: what launchers must name beside the namespace.
        on_spot: taints that the cloud itself puts on spot nodes.
        more: what launchers put into the pods of every run.
    """
    return Made(
        endpoints={name: _served(plan, workloads.urls.get(name), access) for name, plan in context.endpoints.items()},
        pools={
            name: [
                Variant(machine=shape.machine, spot=spot, body=_body(pool, on_spot if spot else ()) | dict(more or {}))
                for shape, spot in pool.variants
            ]
            for name, pool in context.pools.items()
        },
        place={**place, "namespace": workloads.namespace.namespace},
    )


def _served(plan: EndpointPlan, url: pulumi.Output[str] | None, access: Access) -> Served:
    if url is None:
        return Served(url="", access=access)
    way: Access = "direct" if plan.exposure == "public" else access
    return Served(url=url, access=way, resource=plan.name, settled=SETTLED_SECONDS)
