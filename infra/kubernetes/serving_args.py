"""What an endpoint in a cluster is asked to be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pulumi

from infra.kubernetes.network import Address, require_cidr
from infra.kubernetes.pods import Place
from skylift.errors import InputError

Exposure = Literal["cluster", "internal", "public"]
"""Who finds it: pods of the cluster, the network of the stack through an internal load balancer, or the listed ranges of the internet."""

PORT = 8501
TLS_PORT = 8443


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What replicas are counted by in the place of CPU: a metric of each pod, held at `average` on the whole.

    The cluster needs an adapter that serves `custom.metrics.k8s.io`.
    """

    name: str
    average: str


@dataclass(frozen=True, kw_only=True)
class ServingArgs:
    """One endpoint. What the serving program is told has the names of its options.

    Args:
        cpus: cores that a replica asks for; it may use more where there are any.
        memory_gib: of a replica, request and limit [GiB].
        gpus: of a replica, from the nodes that `place` selects.
        cache_gib: disk for downloaded versions [GiB]; also the most that a replica may write there.
        shm_gib: shared memory between the server's processes [GiB], counted as memory.
        cpu_percent: of what is asked for, that replicas are counted by, unless there is a `metric`.
        exposure: see Exposure; `internal` and `public` list who may come in `allowed_cidrs`.
        tls_secret: name of a Secret of type kubernetes.io/tls in the namespace. HTTPS then ends in each pod, and plain HTTP leaves none.
        drain_seconds: for requests in flight when a replica stops.
        approval: whether it serves a deployment only with somebody's consent.
        api_keys: where the hashes of its API keys lie, no secret itself; empty where everybody who finds it may ask.
    """

    min_replicas: int = 1
    max_replicas: int = 1
    cpus: float = 1.0
    memory_gib: float = 2.0
    gpus: int = 0
    place: Place = field(default_factory=Place)
    cache_gib: float = 10.0
    shm_gib: float = 0.25
    cpu_percent: int = 70
    metric: Metric | None = None
    exposure: Exposure = "cluster"
    allowed_cidrs: Sequence[str] = ()
    tls_secret: str | None = None
    workers: int = 1
    threads: int = 0
    backend: Literal["auto", "onnx", "tensorflow"] = "auto"
    queue_rows: int = 4096
    max_batch_rows: int = 64
    drain_seconds: float = 30.0
    approval: bool = False
    api_keys: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise InputError(
                f"replicas from {self.min_replicas} to {self.max_replicas}",
                hint="min_replicas is at least 1 and max_replicas at least min_replicas",
            )
        if (
            self.gpus < 0
            or min(self.cpus, self.memory_gib, self.cache_gib) <= 0
            or not 0 < self.shm_gib < self.memory_gib
        ):
            raise InputError(
                f"a replica of {self.cpus} CPUs, {self.memory_gib} GiB, {self.gpus} GPUs, cache {self.cache_gib} GiB",
                hint="each is more than zero (GPUs may be none), and shared memory is a part of the memory",
            )
        if self.gpus and not self.place.node_selector:
            raise InputError("GPUs without a node selector", hint=f"name the pool: {{{'skylift.dev/pool'!r}: …}}")
        self._check_exposure()

    def _check_exposure(self) -> None:
        for cidr in self.allowed_cidrs:
            require_cidr(cidr, "allowed_cidrs")
        if self.exposure != "cluster" and not self.allowed_cidrs:
            raise InputError(
                f"exposure {self.exposure} lets nobody in", hint="list who may come in allowed_cidrs, as 10.0.0.0/8"
            )
        if self.exposure == "public" and self.tls_secret is None:
            raise InputError("public exposure without TLS", hint="give a certificate, or set exposure: private")

    @property
    def port(self) -> int:
        """Of the pods."""
        return PORT if self.tls_secret is None else TLS_PORT

    @property
    def scheme(self) -> str:
        return "http" if self.tls_secret is None else "https"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What all endpoints of a stack share.

    Args:
        image: by digest.
        images: of others, see naming.IMAGES.
        account: the service account of serving.
        pod_labels: that the cloud wants on pods of that account.
        load_balancers: the cloud's annotations on load balancers, by exposure.
    """

    stack: str
    tags: Mapping[str, str]
    namespace: pulumi.Input[str]
    image: str
    images: Mapping[str, str]
    account: pulumi.Input[str]
    pod_labels: Mapping[str, str]
    keep: pulumi.Input[str]
    work: pulumi.Input[str]
    metadata: Sequence[Address]
    load_balancers: Mapping[Exposure, Mapping[str, str]]

    def __post_init__(self) -> None:
        if not re.search(r"@sha256:[0-9a-f]{64}$", self.image):
            raise InputError(
                f"the serving image {self.image!r} is not named by digest",
                hint="set skylift:images.serving to REGISTRY/NAME@sha256:…, as `skylift images` writes it",
            )
