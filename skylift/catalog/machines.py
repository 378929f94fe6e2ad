"""Accelerators and the machine shapes that carry them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from skylift.catalog.prices import price
from skylift.catalog.tables import table
from skylift.errors import InputError, NotFoundError, not_found

ACCELERATORS: tuple[str, ...] = ("cpu", "T4", "L4", "A10G", "A100", "A100-80GB", "H100", "H200", "V100")
CLOUDS: tuple[str, ...] = ("aws", "gcp", "azure")

# https://cloud.google.com/compute/docs/gpus and the enum acceleratorType of aiplatform v1.
_GCE_ACCELERATORS = {
    "T4": "nvidia-tesla-t4",
    "L4": "nvidia-l4",
    "A100": "nvidia-tesla-a100",
    "A100-80GB": "nvidia-a100-80gb",
    "H100": "nvidia-h100-80gb",
    "H200": "nvidia-h200-141gb",
    "V100": "nvidia-tesla-v100",
}
_VERTEX_ACCELERATORS = {
    "T4": "NVIDIA_TESLA_T4",
    "L4": "NVIDIA_L4",
    "A100": "NVIDIA_TESLA_A100",
    "A100-80GB": "NVIDIA_A100_80GB",
    "H100": "NVIDIA_H100_80GB",
    "H200": "NVIDIA_H200_141GB",
    "V100": "NVIDIA_TESLA_V100",
}
# The one shape whose GPUs are the same accelerator to users and another to Google.
_MEGA = "a3-megagpu-"


@dataclass(frozen=True, slots=True)
class Shape:
    """A machine as a cloud sells it.

    Attributes:
        cloud: aws, gcp or azure.
        machine: the cloud's own name for it.
        accelerator: one of ACCELERATORS; `cpu` where it has none.
        count: how many of them; 0 with `cpu`.
        gpu_memory_gib: memory of one accelerator [GiB].
        cpus: virtual CPUs.
        memory_gib: main memory [GiB].
    """

    cloud: str
    machine: str
    accelerator: str
    count: int
    gpu_memory_gib: int
    cpus: int
    memory_gib: float

    @property
    def sagemaker(self) -> str:
        """SageMaker's name of this EC2 type."""
        return f"ml.{self.machine}"

    @property
    def gce_accelerator(self) -> str:
        """Google's accelerator type, as GKE pools always declare it; empty with `cpu`."""
        if self.machine.startswith(_MEGA):
            return "nvidia-h100-mega-80gb"
        return _GCE_ACCELERATORS.get(self.accelerator, "") if self.cloud == "gcp" else ""

    @property
    def declared(self) -> bool:
        """Whether a GCE instance must declare its accelerators: N1 only, every other machine type brings its own."""
        return self.cloud == "gcp" and self.count > 0 and self.machine.startswith("n1-")

    @property
    def vertex_accelerator(self) -> str:
        """The acceleratorType of a Vertex machineSpec; empty with `cpu`."""
        if self.machine.startswith(_MEGA):
            return "NVIDIA_H100_MEGA_80GB"
        return _VERTEX_ACCELERATORS.get(self.accelerator, "") if self.cloud == "gcp" else ""


def shapes(cloud: str, accelerator: str, count: int = 1) -> list[Shape]:
    """The machines of a cloud with exactly `count` accelerators, those of known price first, cheapest of them first.

    With `cpu`, `count` says nothing.

    Raises:
        NotFoundError: the cloud sells no such machine; the message says what it sells instead.
    """
    known = _check(cloud, accelerator)
    same = [shape for shape in known if shape.accelerator == accelerator]
    if not same:
        raise NotFoundError(
            f"{cloud} sells no {accelerator}; it has {', '.join(offered(cloud))}",
            hint=f"set accelerator to one of {', '.join(offered(cloud))}, or choose another cloud",
            details={"cloud": cloud, "accelerator": accelerator, "offered": list(offered(cloud))},
        )
    found = same if accelerator == "cpu" else [shape for shape in same if shape.count == count]
    if not found:
        counts = sorted({shape.count for shape in same})
        raise NotFoundError(
            f"{cloud} sells no machine with {count} {accelerator}; it has machines with {_or(counts)} of them",
            hint=f"set count to {_or(counts)}, or machine to one of {', '.join(shape.machine for shape in same[:5])}",
            details={"cloud": cloud, "accelerator": accelerator, "count": count, "counts": counts},
        )
    return sorted(found, key=_rank)


def smallest(cloud: str, accelerator: str) -> Shape:
    """The machine with the fewest of that accelerator, the cheapest of those. What one replica of an endpoint gets.

    Raises:
        NotFoundError: the cloud sells no such machine.
    """
    same = [shape.count for shape in _check(cloud, accelerator) if shape.accelerator == accelerator]
    return shapes(cloud, accelerator, max(1, min(same, default=1)))[0]


def shape(cloud: str, machine: str, accelerator: str | None = None, count: int | None = None) -> Shape:
    """The machine of that name; `accelerator` and `count` tell Google's N1 apart, to which accelerators are added.

    Raises:
        NotFoundError: no such machine, with near misses, or it never carries that accelerator.
    """
    known = _all(cloud)
    named = [shape for shape in known if shape.machine == machine]
    if not named:
        raise not_found(f"machine on {cloud}", machine, {shape.machine for shape in known}, hint=_machine_hint(cloud))
    fitting = [
        shape
        for shape in named
        if (accelerator is None or shape.accelerator == accelerator) and (count is None or shape.count == count)
    ]
    if not fitting:
        carries = ", ".join(_carries(shape) for shape in named)
        raise NotFoundError(
            f"{machine} on {cloud} carries {carries}, not {'' if count is None else f'{count} '}{accelerator or ''}",
            hint=f"leave machine out, or take one that `accelerator: {accelerator}` allows",
            details={"cloud": cloud, "machine": machine, "accelerator": accelerator, "count": count},
        )
    return fitting[0]


def offered(cloud: str) -> tuple[str, ...]:
    """The accelerators that a cloud sells, `cpu` among them."""
    sold = {shape.accelerator for shape in _all(cloud)}
    return tuple(name for name in ACCELERATORS if name in sold)


@cache
def _all(cloud: str) -> tuple[Shape, ...]:
    if cloud not in CLOUDS:
        raise not_found("cloud", cloud, CLOUDS)
    return tuple(_shape(row) for row in table("shapes") if row["cloud"] == cloud)


def _check(cloud: str, accelerator: str) -> tuple[Shape, ...]:
    known = _all(cloud)
    if accelerator not in ACCELERATORS:
        error = not_found("accelerator", accelerator, ACCELERATORS)
        raise InputError(error.message, hint=f"set one of {', '.join(offered(cloud))}", details=error.details)
    return known


def _shape(row: dict[str, str]) -> Shape:
    return Shape(
        cloud=row["cloud"],
        machine=row["machine"],
        accelerator=row["accelerator"],
        count=int(row["count"]),
        gpu_memory_gib=int(row["gpu_memory_gib"]),
        cpus=int(row["cpus"]),
        memory_gib=float(row["memory_gib"]),
    )


def _rank(shape: Shape) -> tuple[bool, float, int, float]:
    known = price(shape.cloud, shape.machine, accelerator=shape.accelerator, count=shape.count)
    return (known is None, known.usd_per_hour if known else 0.0, shape.cpus, shape.memory_gib)


def _carries(shape: Shape) -> str:
    return f"{shape.count} {shape.accelerator}" if shape.count else "no accelerator"


def _or(counts: list[int]) -> str:
    *most, last = [str(count) for count in counts]
    return f"{', '.join(most)} or {last}" if most else last


def _machine_hint(cloud: str) -> str:
    example = {"aws": "g6.xlarge", "gcp": "g2-standard-4", "azure": "Standard_NC4as_T4_v3"}[cloud]
    return f"leave machine out to have one chosen for the accelerator, or name one like {example}"
