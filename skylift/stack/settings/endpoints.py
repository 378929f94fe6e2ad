"""Served addresses."""

# ruff: noqa: RUF012  # msgspec gives every section an empty list or dict of its own

from typing import Annotated, Literal

from msgspec import Meta

from skylift.stack.settings.base import Accelerator, Cidr, Section

LOCAL_FIELDS = (
    "host",
    "port",
    "workers",
    "backend",
    "threads",
    "queue_rows",
    "max_batch_rows",
    "drain_seconds",
)
"""What an endpoint of the `local` target understands."""

NOT_ON_CLOUDS = ("host", "port")

Replicas = Annotated[int, Meta(ge=1, le=1000)]
Hostname = Annotated[str, Meta(max_length=253)]


class EndpointSettings(Section, frozen=True, kw_only=True):
    """One served address."""

    host: Annotated[
        Literal["127.0.0.1", "::1"], "Target `local` only: address to listen on; only this machine can reach it."
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535), "Target `local` only: HTTP port. 0 takes a free one at the first `up` and keeps it."
    ] = 8501
    workers: Annotated[int, Meta(ge=1, le=256), "Serving processes that share the port, on each replica."] = 1
    backend: Annotated[
        Literal["auto", "onnx", "tensorflow"],
        "What computes: `auto` takes ONNX Runtime where the version's parity holds, else TensorFlow.",
    ] = "auto"
    threads: Annotated[
        int, Meta(ge=0, le=256), "Threads of one worker. 0 divides the CPUs that the machine lends by the workers."
    ] = 0
    queue_rows: Annotated[
        int, Meta(ge=1, le=1_000_000), "Rows that may wait per worker; more are refused with 429."
    ] = 4096
    max_batch_rows: Annotated[int, Meta(ge=1, le=65536), "Rows that are computed at once."] = 64
    drain_seconds: Annotated[float, Meta(ge=0, le=3600), "How long requests in flight may take at a stop [s]."] = 30.0
    accelerator: Annotated[Accelerator, "Clouds: what computes on each replica."] = "cpu"
    machine: Annotated[
        str | None, "Clouds: machine type of a replica. Default: the cheapest that has the accelerator."
    ] = None
    min_replicas: Annotated[Replicas | None, "Clouds: replicas that always run. Default: 1, in stage `prod` 2."] = None
    max_replicas: Annotated[Replicas | None, "Clouds: replicas at the most. Default: twice min_replicas."] = None
    scale_at_cpu: Annotated[
        int, Meta(ge=10, le=95), "Clouds: mean use of the CPUs above which replicas are added [%]."
    ] = 60
    exposure: Annotated[
        Literal["private", "iam", "public"] | None,
        "Clouds: who may connect. `private`: the stack's network. `iam`: the service's own authenticated API (managed "
        "services; their default). `public`: the internet, by TLS only (machines and clusters, which default to `private`).",
    ] = None
    certificate: Annotated[
        str | None,
        "Machines and clusters: TLS certificate: ARN in ACM, self link on Google, secret id in Key Vault; in clusters the "
        "name of a TLS secret in the stack's namespace.",
    ] = None
    hostname: Annotated[Hostname | None, "Machines and clusters: DNS name in the certificate."] = None
    allowed_ranges: Annotated[list[Cidr], "Exposure `public`: ranges that may connect. Default: everyone, by TLS."] = []
    request_seconds: Annotated[float, Meta(ge=1, le=180), "Clouds: how long a request may take [s]."] = 60.0
    api_keys: Annotated[
        bool, "Machines and clusters: whether the stack keeps a secret for hashes of API keys of this endpoint."
    ] = False
    approval: Annotated[bool, "Clouds: whether a release needs the consent of another identity, the approver."] = False
