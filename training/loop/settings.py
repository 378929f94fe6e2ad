"""The hyperparameters of the loop itself. Every recipe takes them; a recipe's own field of the same name changes the default."""

from __future__ import annotations

from dataclasses import dataclass

from training.contract import setting


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast to learn."""

    epochs: int = setting(10, "Times that the whole training split is gone through.", minimum=1)
    batch_size: int = setting(32, "Rows per step.", minimum=1)
    learning_rate: float = setting(1e-3, "The optimizer's step size, at its greatest.", minimum=0.0)
    schedule: str = setting("constant", "How the learning rate falls.", choices=("constant", "cosine"))
    optimizer: str = setting("adam", "What applies the gradients.", choices=("adam", "adamw", "sgd", "rmsprop"))
    patience: int = setting(
        0, "Epochs without a better validation before it stops early; 0 never stops early.", minimum=0
    )
    checkpoint_seconds: float = setting(60.0, "How often to save inside an epoch [s].", minimum=0.0)
    deterministic: bool = setting(False, "Slower, and the same run gives the same bits every time.")
