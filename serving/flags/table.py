"""tensorflow_model_server's flags: what each holds, and what becomes of it here.

Names, types and defaults: https://github.com/tensorflow/serving/blob/master/tensorflow_serving/model_servers/main.cc.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "integer", "number", "boolean"]
Value = str | int | float | bool
Effect = Literal["honoured", "harmless", "refused"]


@dataclass(frozen=True)
class Flag:
    """One flag.

    Args:
        why: what it does; of a harmless one why it changes nothing; of a refused one what to use instead.
        usual: the value that a refused flag may have all the same.
    """

    kind: Kind
    usual: Value
    effect: Effect
    why: str


def _does(kind: Kind, usual: Value, what: str) -> Flag:
    return Flag(kind, usual, "honoured", what)


def _nothing(kind: Kind, usual: Value, why: str) -> Flag:
    return Flag(kind, usual, "harmless", why)


def _refused(kind: Kind, usual: Value, instead: str) -> Flag:
    return Flag(kind, usual, "refused", instead)


_ONE_LOOP = "requests are answered by event loops, not by threads; --workers sets how many processes there are"
_WORKER_LOADS = "versions are loaded beside the requests, four models at a time"
_TFLITE_WORKER = "a TFLite model has one interpreter in each worker; --workers sets how many there are"

FLAGS: Mapping[str, Flag] = {
    # where it listens
    "port": _does("integer", 8500, "port for gRPC; 0: none"),
    "grpc_socket_path": _does("text", "", "path of a UNIX socket for gRPC, beside the port"),
    "rest_api_port": _does("integer", 0, "port for HTTP; 0: none"),
    "rest_api_num_threads": _nothing("integer", 0, _ONE_LOOP),
    "rest_api_timeout_in_ms": _does("integer", 30_000, "longest time of a request over HTTP [ms]"),
    "rest_api_enable_cors_support": _does("boolean", False, "answer pages of other origins"),
    "ssl_config_file": _does("text", "", "text SSLConfig for gRPC"),
    "use_alts_credentials": _refused("boolean", False, "use --ssl_config_file: ALTS is Google's own"),
    "grpc_channel_arguments": _does("text", "", "gRPC's own options: name=value,…"),
    "grpc_max_threads": _nothing("integer", 0, _ONE_LOOP),
    "enable_grpc_healthcheck_service": _nothing("boolean", False, "gRPC's health service is always there"),
    # what it serves
    "model_name": _does("text", "default", "name of the only model"),
    "model_base_path": _does("text", "", "where its versions lie: a folder, file://, s3://, gs://, az://"),
    "model_config_file": _does("text", "", "text ModelServerConfig: several models, policies, labels"),
    "model_config_file_poll_wait_seconds": _does("integer", 0, "between two looks at that file [s]; 0: one look"),
    "file_system_poll_wait_seconds": _does("integer", 1, "between two looks for versions [s]; 0: one look"),
    "max_num_load_retries": _does("integer", 5, "further attempts after a version failed to load"),
    "load_retry_interval_micros": _does("integer", 60_000_000, "longest time between two of them [us]"),
    "num_load_threads": _nothing("integer", 0, _WORKER_LOADS),
    "num_unload_threads": _nothing("integer", 0, _WORKER_LOADS),
    "allow_version_labels_for_unavailable_models": _does(
        "boolean", False, "labels may name versions that are not loaded"
    ),
    "saved_model_tags": _does("text", "serve", "tags of the graph to load, with commas between"),
    "flush_filesystem_caches": _nothing("boolean", True, "the kernel keeps and drops pages of files by itself"),
    "remove_unused_fields_from_bundle_metagraph": _nothing("boolean", True, "graphs are not kept once they are loaded"),
    "enable_model_warmup": _does("boolean", True, "replay recorded requests before a version answers"),
    "num_request_iterations_for_warmup": _does("integer", 0, "how often each of them"),
    "enable_signature_method_name_check": _does(
        "boolean", False, "classify and regress only what was exported for them"
    ),
    "enable_serialization_as_tensor_content": _does("boolean", False, "answer predict over gRPC with tensor_content"),
    # how it computes
    "enable_batching": _does("boolean", False, "use --batching_parameters_file; requests are batched without it too"),
    "batching_parameters_file": _does("text", "", "text BatchingParameters"),
    "enable_per_model_batching_parameters": _does("boolean", False, "batching_params.pbtxt of a version counts for it"),
    "tensorflow_session_parallelism": _does("integer", 0, "threads within and between operations; 0: CPUs lent to us"),
    "tensorflow_intra_op_parallelism": _does("integer", 0, "threads within an operation; 0: CPUs lent to us"),
    "tensorflow_inter_op_parallelism": _does("integer", 0, "operations at once; 0: one"),
    "tensorflow_session_config_file": _refused(
        "text",
        "",
        "use --tensorflow_intra_op_parallelism, --tensorflow_inter_op_parallelism, --per_process_gpu_memory_fraction",
    ),
    "platform_config_file": _refused(
        "text", "", "use --saved_model_tags, --batching_parameters_file and the flags for threads and memory"
    ),
    "thread_pool_factory_config_file": _refused("text", "", "use --tensorflow_intra_op_parallelism and --workers"),
    "per_process_gpu_memory_fraction": _does("number", 0.0, "share of a GPU's memory, 0 to 1; 0: as it is needed"),
    "mixed_precision": _refused("text", "", "export the model in the precision that it should have"),
    "xla_cpu_compilation_enabled": _nothing("boolean", False, "models that ask for XLA are always compiled"),
    "xla_gpu_compilation_enabled": _nothing("boolean", False, "models that ask for XLA are always compiled"),
    "skip_initialize_tpu": _nothing("boolean", False, "no TPU is used"),
    "prefer_tflite_model": _does("boolean", False, "serve model.tflite where it lies beside a SavedModel"),
    "num_tflite_pools": _nothing("integer", 0, _TFLITE_WORKER),
    "num_tflite_interpreters_per_pool": _nothing("integer", 1, _TFLITE_WORKER),
    # how it is watched
    "monitoring_config_file": _does("text", "", "text MonitoringConfig: the path of the metrics"),
    "enable_profiler": _nothing(
        "boolean", True, "there is no profiler service; OpenTelemetry's variables turn traces on"
    ),
    "version": _does("boolean", False, "tell the version and end"),
}

ALIASES: Mapping[str, str] = {
    "enable_cors_support": "rest_api_enable_cors_support",
    "use_tflite_model": "prefer_tflite_model",
}
"""Names that a flag had once or is called by."""

COMMON = frozenset({"port", "version"})
"""Names that our own command line has too."""


def usage() -> str:
    """All flags, a line for each."""
    lines = ["tensorflow_model_server's flags, as --flag=value or --flag value:", ""]
    for name, flag in FLAGS.items():
        shown = str(flag.usual).lower() if flag.kind == "boolean" else repr(flag.usual)
        lines.append(f"  --{name}={shown}")
        lines.append(f"      {'' if flag.effect == 'honoured' else flag.effect + ': '}{flag.why}")
    return "\n".join(lines)
