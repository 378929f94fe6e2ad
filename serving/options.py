"""What workers are told at their start, and the limits of what a client may ask."""

from __future__ import annotations

from typing import Literal

import msgspec

from serving.batching.options import BatchOptions
from serving.contracts.options import ContractOptions
from serving.log import Form
from serving.watch.options import WatchOptions

BackendChoice = Literal["auto", "onnx", "tensorflow", "tflite"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may ask of a worker.

    Args:
        header_bytes: request line and headers together; more is 431.
        body_bytes: a request's body; more is 413.
        header_seconds: until a request's headers must be there; else 408.
        stall_seconds: how long a body or a reading client may stand still.
        body_bytes_per_second: slowest body on average, after `stall_seconds`.
        idle_seconds: how long a connection may wait for its next request.
        connections: open at once; newcomers wait in the socket's backlog.
        pipelined: requests of one connection under way at once.
    """

    header_bytes: int = 32 * 1024
    body_bytes: int = 128 * 1024 * 1024
    header_seconds: float = 10.0
    stall_seconds: float = 30.0
    body_bytes_per_second: float = 1024.0
    idle_seconds: float = 75.0
    connections: int = 4096
    pipelined: int = 32


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to know beside what it is told to load."""

    endpoint: str
    threads: int
    backend: BackendChoice = "auto"
    gpu_index: int = 0
    gpu_memory_mib: int = 0
    """Of the GPU that may be taken; 0 for what is needed, as it is needed. Untried on hardware."""
    prefer_tflite: bool = False
    """Of a TensorFlow model without a manifest of ours, `model.tflite` beside it is served."""
    checks_method_names: bool = False
    """Whether Classify and Regress ask for a signature that was exported for them."""
    tags: tuple[str, ...] = ("serve",)
    """Of the graph of a SavedModel without a manifest of ours."""
    warm_iterations: int = 1
    """How often requests that were recorded with a model are made before anybody else's; 0: not at all."""
    per_model_batching: bool = False
    """Whether a version may say in a file of its own how it is to be batched."""
    metrics_path: str = ""
    """Where the metrics are to be too."""
    cors: bool = False
    """Whether pages of other sites may ask."""
    parts: dict[int, str] = {}
    """Of a chain, by number, the parts that other servers have: their addresses, several with commas between."""
    part_key_file: str = ""
    """Holds the API key that those are shown; empty for the environment's SKYLIFT_API_KEY."""
    tensor_content: bool = False
    """Whether gRPC's Predict answers with `tensor_content` rather than typed fields."""
    batching: BatchOptions = BatchOptions()
    limits: Limits = Limits()
    request_seconds: float = 0.0
    """How long a request may take in all; 0 for no limit but the client's."""
    workers: int = 1
    """How many processes share the port."""
    access: str = ""
    """Where the access document is: a path, or a secret's URL; empty where everybody may ask."""
    tls_cert: str = ""
    """PEM file with the certificates, and the key where `tls_key` names none; empty for no encryption."""
    tls_key: str = ""
    tls_client_ca: str = ""
    """Who may sign clients' certificates; empty: clients are asked for none."""
    tls_client_optional: bool = False
    ssl_config: str = ""
    """TensorFlow Serving's `ssl_config_file`, in place of these."""
    watch: WatchOptions = WatchOptions()
    contracts: ContractOptions = ContractOptions()
    log_format: Form = "plain"
    grpc_socket: str = ""
    grpc_streams: int = 1024
    """Calls of one connection at the same time."""
    grpc_message_bytes: int = 0
    """Of a request over gRPC; -1 for no limit, 0 for that of a body."""
