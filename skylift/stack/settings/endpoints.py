"""Served addresses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from skylift.stack.settings.base import Accelerator, Cidr, Strict

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


class EndpointSettings(Strict):
    """One served address."""

    host: Literal["127.0.0.1", "::1"] = Field(
        "127.0.0.1", description="Target `local` only: address to listen on; only this machine can reach it."
    )
    port: int = Field(
        8501,
        ge=0,
        le=65535,
        description="Target `local` only: HTTP port. 0 takes a free one at the first `up` and keeps it.",
    )
    workers: int = Field(1, ge=1, le=256, description="Serving processes that share the port, on each replica.")
    backend: Literal["auto", "onnx", "tensorflow"] = Field(
        "auto",
        description="What computes: `auto` takes ONNX Runtime where the version's parity holds, else TensorFlow.",
    )
    threads: int = Field(
        0, ge=0, le=256, description="Threads of one worker. 0 divides the CPUs that the machine lends by the workers."
    )
    queue_rows: int = Field(
        4096, ge=1, le=1_000_000, description="Rows that may wait per worker; more are refused with 429."
    )
    max_batch_rows: int = Field(64, ge=1, le=65536, description="Rows that are computed at once.")
    drain_seconds: float = Field(30.0, ge=0, le=3600, description="How long requests in flight may take at a stop [s].")
    accelerator: Accelerator = Field("cpu", description="Clouds: what computes on each replica.")
    machine: str | None = Field(
        None, description="Clouds: machine type of a replica. Default: the cheapest that has the accelerator."
    )
    min_replicas: int | None = Field(
        None, ge=1, le=1000, description="Clouds: replicas that always run. Default: 1, in stage `prod` 2."
    )
    max_replicas: int | None = Field(
        None, ge=1, le=1000, description="Clouds: replicas at the most. Default: twice min_replicas."
    )
    scale_at_cpu: int = Field(
        60, ge=10, le=95, description="Clouds: mean use of the CPUs above which replicas are added [%]."
    )
    exposure: Literal["private", "iam", "public"] | None = Field(
        None,
        description="Clouds: who may connect. `private`: the stack's network. `iam`: the service's own authenticated API (managed "
        "services; their default). `public`: the internet, by TLS only (machines and clusters, which default to `private`).",
    )
    certificate: str | None = Field(
        None,
        description="Machines and clusters: TLS certificate: ARN in ACM, self link on Google, secret id in Key Vault; in clusters the "
        "name of a TLS secret in the stack's namespace.",
    )
    hostname: str | None = Field(
        None, max_length=253, description="Machines and clusters: DNS name in the certificate."
    )
    allowed_ranges: list[Cidr] = Field(
        [], description="Exposure `public`: ranges that may connect. Default: everyone, by TLS."
    )
    request_seconds: float = Field(60.0, ge=1, le=180, description="Clouds: how long a request may take [s].")
    api_keys: bool = Field(
        False,
        description="Machines and clusters: whether the stack keeps a secret for hashes of API keys of this endpoint.",
    )
    approval: bool = Field(
        False, description="Clouds: whether a release needs the consent of another identity, the approver."
    )
