"""From tensorflow_model_server's flags to our own options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from serving import arguments as own
from serving.arguments import Options
from serving.flags.options import TfsOptions
from skylift.errors import InputError

FILE_POLL_SECONDS = 1.0
STORE_POLL_SECONDS = 5.0
LOOPBACK = "127.0.0.1"
STREAMS = "grpc.max_concurrent_streams"
MESSAGE_BYTES = "grpc.max_receive_message_length"
"""Of gRPC's own channel arguments, those that mean something here too."""


def options_of(flags: TfsOptions, environment: Mapping[str, str]) -> Options:
    """What a server does that was started like TensorFlow Serving. Options of ours that stood between the flags win.

    Raises:
        InputError: they contradict each other.
    """
    said = {name: value for name, value in environment.items() if name not in ("SKYLIFT_ENDPOINT", "SKYLIFT_PORT")}
    base = own.read([f"--host={flags.host}", f"--threads={flags.threads}", *own.given_by(said), *flags.own, "--port=0"])
    _check(flags, base)
    known = {name: value for name, value in flags.grpc_arguments if name in (STREAMS, MESSAGE_BYTES)}
    poll = STORE_POLL_SECONDS if any("://" in one.base_path for one in flags.models) else FILE_POLL_SECONDS
    options = msgspec.structs.replace(
        base,
        models=flags.models,
        port=flags.http_port if flags.http_port is not None else 0,
        host=base.host if flags.http_port is not None else LOOPBACK,
        grpc_host=base.host,
        grpc_port=flags.grpc_port,
        grpc_socket=flags.grpc_socket,
        grpc_streams=int(known.get(STREAMS, 1024)),
        grpc_message_bytes=int(known.get(MESSAGE_BYTES, 0)),
        request_seconds=flags.request_seconds,
        poll_seconds=flags.poll_seconds if flags.poll_seconds is not None else poll,
        models_poll_path=flags.models_file,
        models_poll_seconds=flags.models_poll_seconds,
        max_retries=flags.max_retries,
        retry_seconds=flags.retry_seconds,
        allow_unavailable_labels=flags.allow_unavailable_labels,
        tags=flags.saved_model_tags,
        prefer_tflite=flags.prefer_tflite,
        warm_iterations=flags.warmup_iterations,
        checks_method_names=flags.check_method_names,
        tensor_content=flags.tensor_content,
        batching=flags.batching,
        per_model_batching=flags.per_model_batching,
        metrics_path=flags.metrics_path,
        cors=flags.cors,
        ssl_config=flags.ssl_config_file,
        notes=(*flags.notes, *_notes(flags)),
    )
    own.check(options)
    return options


def _check(flags: TfsOptions, base: Options) -> None:
    if base.endpoint_url or base.models or base.models_file:
        raise InputError(
            "TensorFlow Serving's flags and --endpoint, --model or --models exclude each other",
            hint="name the models either with --model_name and --model_base_path or --model_config_file, or with ours",
        )
    if flags.grpc_socket and base.workers > 1:
        raise InputError(
            f"--grpc_socket_path with --workers {base.workers}: one process can listen there", hint="use --workers 1"
        )


def _notes(flags: TfsOptions) -> Sequence[str]:
    notes = []
    if flags.http_port is None:
        notes.append("--rest_api_port is not given: health and metrics are on a free port of 127.0.0.1 alone")
    if flags.inter_op_threads > 1:
        notes.append("--tensorflow_inter_op_parallelism has no effect: operations of a request run one after the other")
    if flags.gpu_memory_fraction:
        notes.append("--per_process_gpu_memory_fraction has no effect: say --gpu-memory-mib, in MiB")
    unknown = [name for name, _ in flags.grpc_arguments if name not in (STREAMS, MESSAGE_BYTES)]
    if unknown:
        notes.append(f"--grpc_channel_arguments: {', '.join(unknown)} have no effect: {STREAMS} and {MESSAGE_BYTES} do")
    if flags.logging:
        notes.append("logging_config has no effect: --sample-rate with --work stores requests")
    return notes
