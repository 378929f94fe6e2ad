"""Sessions of ONNX Runtime: threads that never spin, memory that all models of a process share, CUDA where the runtime has it.

Measured with ONNX Runtime 1.32 on one thread, the CNN of 1.2 million parameters: `session.run` costs 3.5 us beside the model's own time,
io binding 5.5 us, `run_with_ort_values` 34 us; so `run` it is. 100 models of 1 MB: 371 MB with an arena each, 170 MB with one for all
and freed memory given back, at the same speed (without any arena: 8 % slower from 32 rows on).
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from serving import log
from serving.backends.base import first_line
from serving.backends.memory import trim
from skylift.errors import DeployError, MachineError

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def import_runtime() -> Any:
    """The package onnxruntime.

    Raises:
        MachineError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MachineError(
            f"ONNX Runtime cannot be imported: {error}", hint="install it: `pip install 'skylift[serve]'`"
        ) from None
    return onnxruntime


def open_session(path: Path, threads: int, *, gpu_index: int = 0, gpu_memory_mib: int = 0) -> Any:
    """A session, on CUDA where it can be (untried on hardware); a fallback to the CPU is logged.

    Raises:
        DeployError: the file cannot be loaded.
    """
    runtime = import_runtime()
    providers = providers_of(runtime.get_available_providers(), gpu_index, gpu_memory_mib)
    try:
        session = runtime.InferenceSession(str(path), _options(runtime, threads), providers=providers)
    except Exception as error:
        raise DeployError(
            f"ONNX Runtime cannot load {path.name}: {first_line(error)}",
            hint="publish the version again; `skylift models show` names its run",
        ) from None
    if len(providers) > 1 and CUDA not in session.get_providers():
        log.event("gpu_unused", file=path.name, why="ONNX Runtime could not start CUDA and computes on the CPU")
    trim()  # what reading the file took
    return session


def providers_of(available: list[str], gpu_index: int, gpu_memory_mib: int) -> list[Any]:
    """Where to compute, best first. https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html has the options."""
    if CUDA not in available:
        return [CPU]
    options = {
        "device_id": str(gpu_index),
        "arena_extend_strategy": "kSameAsRequested",  # doubling takes up to twice what a model needs
        "cudnn_conv_algo_search": "HEURISTIC",  # the exhaustive search runs anew for every number of rows
    }
    if gpu_memory_mib:
        options["gpu_mem_limit"] = str(gpu_memory_mib * 2**20)
    return [(CUDA, options), CPU]


def release() -> None:
    """Give back what closed sessions have left: the shared arena's unused blocks, then what the C library keeps."""
    shrinker = _shrinker()
    if shrinker is not None:
        shrinker()
    trim()


def _options(runtime: Any, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it would say comes as an exception; clients must not be able to fill the log
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if _shares_arena():
        options.add_session_config_entry("session.use_env_allocators", "1")
    return options


@functools.cache
def _shares_arena() -> bool:
    """Whether there is one arena for all sessions of this process; made at the first call."""
    runtime = import_runtime()
    try:
        where = runtime.OrtMemoryInfo(
            "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
        )
        runtime.create_and_register_allocator(where, None)
    except Exception:  # an older runtime: an arena each, which goes with its session
        return False
    return True


_IDENTITY = (
    b"\x08\x08:7\n\x10\n\x01x\x12\x01y\x22\x08Identity\x12\x01iZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01"
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)
"""A model of one node, y = x of one float: whoever runs it may ask for the arena to be shrunk."""


@functools.cache
def _shrinker() -> Any:
    """What frees the shared arena's unused blocks; None where there is none. It takes 0.1 ms."""
    if not _shares_arena():
        return None
    runtime = import_runtime()
    try:
        session = runtime.InferenceSession(_IDENTITY, _options(runtime, 1), providers=[CPU])
        options = runtime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        feed = {"x": np.zeros(1, np.float32)}
        session.run(["y"], feed, options)
    except Exception:
        return None
    return lambda: session.run(["y"], feed, options)
