"""What a loss becomes: the optimizer with its schedule, the weights of classes, the numbers that are computed with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from training.contract import Array, Task
from training.loop.settings import LoopSettings

KINDS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop"}
SLOWEST = 0.01
"""What an exponential schedule comes down to, of the greatest learning rate."""

TENSOR_CORES = (7, 0)
"""Compute capability from which on NVIDIA's GPUs multiply float16 faster: https://www.tensorflow.org/guide/mixed_precision."""


def optimizer(keras: Any, settings: LoopSettings, steps: int, policy: str) -> Any:
    """The optimizer of a run of so many steps; with float16 one that scales the loss, lest gradients vanish."""
    options: dict[str, Any] = {"momentum": 0.9} if settings.optimizer == "sgd" else {}
    if settings.clip_norm:
        options["global_clipnorm"] = settings.clip_norm
    made = getattr(keras.optimizers, KINDS[settings.optimizer])(learning_rate=_rate(keras, settings, steps), **options)
    return keras.optimizers.LossScaleOptimizer(made) if policy == "mixed_float16" else made


def _rate(keras: Any, settings: LoopSettings, steps: int) -> Any:
    if settings.schedule == "constant" and not settings.warmup_steps:
        return settings.learning_rate
    ops, falling = keras.ops, max(steps - settings.warmup_steps, 1)

    class Schedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        """Rises for `warmup_steps`, then falls to the end of the run."""

        def __call__(self, step: Any) -> Any:
            now = ops.cast(step, "float32")
            done = ops.clip((now - settings.warmup_steps) / falling, 0.0, 1.0)
            left = {
                "constant": ops.ones_like(done),
                "cosine": 0.5 * (1.0 + ops.cos(math.pi * done)),
                "linear": 1.0 - done,
                "exponential": ops.exp(math.log(SLOWEST) * done),
            }[settings.schedule]
            risen = ops.minimum(1.0, (now + 1.0) / settings.warmup_steps) if settings.warmup_steps else 1.0
            return settings.learning_rate * left * risen

        def get_config(self) -> dict[str, Any]:
            return {}

    return Schedule()


def class_weights(task: Task, settings: LoopSettings, y: Array) -> Array | None:
    """`[classes] float32`, one on average over the rows; None where all rows count the same."""
    if settings.class_weights == "none" or task.kind == "regression":
        return None
    counts = np.bincount(y.reshape(-1).astype(np.int64), minlength=len(task.labels))
    return (len(y) / (np.count_nonzero(counts) * np.maximum(counts, 1))).astype(np.float32)


def policy_for(tf: Any, settings: LoopSettings) -> str:
    """The name of Keras's dtype policy. The GPU part has not been run on hardware yet."""
    if settings.precision != "auto":
        return settings.precision
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    is_made_for_it = details and all(each.get("compute_capability", (0, 0)) >= TENSOR_CORES for each in details)
    return "mixed_float16" if is_made_for_it else "float32"


def compiles(tf: Any, settings: LoopSettings) -> bool:
    """Whether XLA compiles the step."""
    if settings.xla == "auto":
        return bool(tf.config.list_physical_devices("GPU"))
    return settings.xla == "on"
