"""The hyperparameters of the loop itself. Every recipe takes them; a recipe's own field of the same name changes the default."""

from __future__ import annotations

from dataclasses import dataclass

from training.contract import setting


@dataclass(frozen=True)
class LoopSettings:
    """How long, how fast and in which numbers to learn, and how often to save."""

    epochs: int = setting(10, "Times that the whole training split is gone through.", minimum=1)
    batch_size: int = setting(32, "Rows per step.", minimum=1)
    learning_rate: float = setting(1e-3, "The optimizer's step size, at its greatest.", minimum=0.0)
    schedule: str = setting(
        "constant",
        "How the learning rate falls: to zero along a cosine or a line, or to a hundredth exponentially.",
        choices=("constant", "cosine", "linear", "exponential"),
    )
    warmup_steps: int = setting(0, "Steps in which the learning rate first rises from zero.", minimum=0)
    optimizer: str = setting("adam", "What applies the gradients.", choices=("adam", "adamw", "sgd", "rmsprop"))
    clip_norm: float = setting(0.0, "Longest that all gradients together may be; 0 clips nothing.", minimum=0.0)
    class_weights: str = setting(
        "none",
        "Whether rare classes count for more: `balanced` weighs each by its scarcity.",
        choices=("none", "balanced"),
    )
    patience: int = setting(
        0, "Epochs without a better validation before it stops early; 0 never stops early.", minimum=0
    )
    checkpoint_seconds: float = setting(60.0, "How often to save inside an epoch [s].", minimum=0.0)
    checkpoints_kept: int = setting(2, "Newest checkpoints that stay; each holds the best weights too.", minimum=1)
    steps_per_call: int = setting(
        0, "Steps that are computed in one go; 0 chooses by how long one takes.", minimum=0, maximum=1024
    )
    precision: str = setting(
        "auto",
        "Numbers to compute with: `auto` takes mixed_float16 on GPUs that are made for it, else float32.",
        choices=("auto", "float32", "mixed_float16", "mixed_bfloat16"),
    )
    xla: str = setting(
        "auto",
        "Whether XLA compiles the step: `auto` on GPUs only, on CPUs it costs more than it gives.",
        choices=("auto", "on", "off"),
    )
    deterministic: bool = setting(False, "Slower, and the same run gives the same bits every time.")
