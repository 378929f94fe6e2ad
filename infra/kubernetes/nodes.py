"""Which nodes the cluster of a stack has: the same for GKE, EKS and AKS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from infra.context import Context, PoolPlan
from infra.kubernetes.naming import GPU, GPU_NODES, POOL_LABEL
from skylift.catalog import Shape

SYSTEM_MACHINES = {"aws": "m5.xlarge", "gcp": "e2-standard-4", "azure": "Standard_D4s_v5"}
"""4 CPUs and 16 GiB."""


class NodesPlan(NamedTuple):
    """A group of nodes that are alike.

    Args:
        name: what names of their resources end in.
        kind, owner: what they are for: the pool or the endpoint called `owner`.
        machines: types in order of preference; several where groups are mixed.
        shape: of each machine; None for the system's, which may be any.
        zones: where the settings want them; empty for anywhere in the region.
        taint: key and value (effect NoSchedule), which keep everything else off these nodes, so that they can go back to none.
    """

    name: str
    kind: Literal["system", "pool", "serve"]
    owner: str
    machines: Sequence[str]
    most: int
    labels: Mapping[str, str]
    taint: tuple[str, str] | None = None
    least: int = 0
    shape: Shape | None = None
    spot: bool = False
    disk_gib: int = 50
    zones: Sequence[str] = ()

    @property
    def gpus(self) -> int:
        """Of one node."""
        return self.shape.count if self.shape else 0


def system(context: Context) -> NodesPlan:
    """Nodes that are always there, for what serves the cluster itself."""
    cluster = context.settings.cluster
    return NodesPlan(
        name="system",
        kind="system",
        owner="",
        machines=[cluster.system_machine or SYSTEM_MACHINES[context.settings.cloud]],
        least=min(2 if context.is_prod else 1, cluster.system_max),
        most=cluster.system_max,
        labels={"skylift.dev/system": "true"},
    )


def dedicated(context: Context, *, mixed: bool = False) -> Iterator[NodesPlan]:
    """The nodes of each pool, and of each endpoint as soon as there is an image to serve with. They begin at none.

    Args:
        mixed: whether a group may be of several machine types (EKS). Else each variant of a pool has its own.
    """
    for pool in context.pools.values():
        for tail, shapes, spot in _variants(pool, mixed):
            yield NodesPlan(
                name=f"pool-{pool.name}-{tail}",
                kind="pool",
                owner=pool.name,
                machines=[shape.machine for shape in shapes],
                most=pool.settings.max_machines,
                labels=_labels(pool.name, shapes[0]),
                taint=_taint(pool.name, shapes[0]),
                shape=shapes[0],
                spot=spot,
                disk_gib=pool.settings.disk_gib,
                zones=pool.settings.zones,
            )
    for plan in context.endpoints.values() if context.settings.images.serving is not None else ():
        name = serving(plan.name)
        yield NodesPlan(
            name=name,
            kind="serve",
            owner=plan.name,
            machines=[plan.shape.machine],
            most=plan.max_replicas + 1,  # one more, so that a new replica is there before the old one goes
            labels=_labels(name, plan.shape),
            taint=_taint(name, plan.shape),
            shape=plan.shape,
            disk_gib=100,
        )


def serving(endpoint: str) -> str:
    """What the nodes of an endpoint are called."""
    return f"serve-{endpoint}"


def _variants(pool: PoolPlan, mixed: bool) -> Iterator[tuple[str, Sequence[Shape], bool]]:
    """End of their name, shapes, and whether interruptible."""
    if not mixed:
        for index, (shape, spot) in enumerate(pool.variants):
            yield str(index), [shape], spot
        return
    for spot in (True, False) if pool.settings.spot else (False,):
        for index, shapes in enumerate(_alike(pool.shapes)):
            yield f"{'spot' if spot else 'demand'}-{index}", shapes, spot


def _alike(shapes: Sequence[Shape]) -> list[list[Shape]]:
    """Shapes that one group may mix: the autoscaler takes all nodes of a group for alike, so CPUs, memory and GPUs must agree."""
    mixed: dict[tuple[float, float, int], list[Shape]] = {}
    for shape in shapes:
        mixed.setdefault((shape.cpus, shape.memory_gib, shape.count), []).append(shape)
    return list(mixed.values())


def _labels(name: str, shape: Shape) -> dict[str, str]:
    return {POOL_LABEL: name, **(GPU_NODES if shape.count else {})}


def _taint(name: str, shape: Shape) -> tuple[str, str]:
    return (GPU, "present") if shape.count else (POOL_LABEL, name)
