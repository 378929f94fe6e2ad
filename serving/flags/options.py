"""What tensorflow_model_server's command line asks for, in our own terms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from serving.batching.options import BatchOptions
from serving.interface import ModelConfig
from serving.sources.config import Logging

GrpcArgument = tuple[str, int | str]


class TfsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options.

    Args:
        show: what to print instead of serving.
        host: all addresses, as tensorflow_model_server listens; `--host` beside the flags says another.
        http_port, grpc_port: None for none.
        grpc_socket: path of a UNIX socket, or nothing.
        request_seconds: longest time of a request over HTTP [s]; 0 for any.
        models_file: where `models` were read from, None where flags name the only one; `models_poll_seconds` between two looks at
            it [s], 0 for one.
        logging: by model, the share of requests to be recorded.
        poll_seconds: between two looks for versions [s], 0 for one; None where nobody said.
        retry_seconds: longest time between two attempts to load a version [s].
        threads: within an operation, 0 for as many as the CPUs lent to us; `inter_op_threads` operations at once, 0 for one.
        batching: None where nobody said how.
        gpu_memory_fraction: of a GPU's memory, 0 to 1; 0: as it is needed.
        warmup_iterations: how often each recorded request is replayed; 0: not at all.
        metrics_path: where the metrics are to be too, or nothing.
        own: options of ours that stood between the flags, as they were written.
        notes: for the log, what has no effect and why.
    """

    show: Literal["", "help", "version"] = ""
    host: str = "0.0.0.0"  # noqa: S104 - as the original does, and as its images need it
    http_port: int | None = None
    grpc_port: int | None = None
    grpc_socket: str = ""
    grpc_arguments: tuple[GrpcArgument, ...] = ()
    request_seconds: float = 30.0
    cors: bool = False
    ssl_config_file: Path | None = None
    models: tuple[ModelConfig, ...] = ()
    models_file: Path | None = None
    models_poll_seconds: float = 0.0
    logging: Mapping[str, Logging] = {}
    poll_seconds: float | None = None
    max_retries: int = 5
    retry_seconds: float = 60.0
    allow_unavailable_labels: bool = False
    saved_model_tags: tuple[str, ...] = ("serve",)
    prefer_tflite: bool = False
    warmup_iterations: int = 1
    check_method_names: bool = False
    tensor_content: bool = False
    batching: BatchOptions | None = None
    per_model_batching: bool = False
    threads: int = 0
    inter_op_threads: int = 0
    gpu_memory_fraction: float = 0.0
    metrics_path: str = ""
    own: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
