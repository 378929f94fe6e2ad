"""The one door to TensorFlow: quiet, seeded, with GPUs set to take memory as they need it. Import nothing of it before."""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

_NOISE = ("All log messages before absl::InitializeLog", "oneDNN custom operations are on")


def prepare(seed: int) -> None:
    """Seed Python and numpy for a recipe's `load`, and set what TensorFlow reads when a recipe imports it there."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    random.seed(seed)
    np.random.seed(abs(seed) % 2**32)


def start(seed: int, *, deterministic: bool = False) -> tuple[Any, Any]:
    """Import TensorFlow and Keras and seed them: (tf, keras).

    The GPU part follows TensorFlow's documentation and has not been run on hardware yet.
    """
    with _without_noise():
        import keras
        import tensorflow as tf

        for device in tf.config.list_physical_devices("GPU"):
            with suppress(RuntimeError):  # a recipe has begun to compute in `load`: its choice stands
                tf.config.experimental.set_memory_growth(device, True)
    keras.utils.set_random_seed(abs(seed) % 2**32)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    return tf, keras


def describe_devices(tf: Any) -> str:
    """What it computes on, for the log: `2 CPU cores`, `1 GPU (NVIDIA L4)`."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return f"{cores} CPU cores"
    names = {tf.config.experimental.get_device_details(gpu).get("device_name", "unknown") for gpu in gpus}
    return f"{len(gpus)} GPU ({', '.join(sorted(names))})"


@contextmanager
def _without_noise() -> Iterator[None]:
    """TensorFlow's C++ side greets on file descriptor 2 before its log level counts: drop the greeting, keep all else."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as spool:
            os.dup2(spool.fileno(), 2)
            try:
                yield
            finally:
                sys.stderr.flush()
                os.dup2(kept, 2)
                spool.seek(0)
                os.write(2, b"".join(line for line in spool if not _is_noise(line)))
    finally:
        os.close(kept)


def _is_noise(line: bytes) -> bool:
    text = line.decode(errors="replace")
    return any(known in text for known in _NOISE)
