"""How the loss of another member shows: as an error of TensorFlow's in whatever this process was computing."""

from __future__ import annotations

import os

_LOSSES = ("UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError", "FailedPreconditionError")


class GroupLostError(Exception):
    """The others do not answer, though TensorFlow raises nothing."""


def is_loss(error: BaseException) -> bool:
    """Whether the error says that another member of our group is gone, and nothing about this process."""
    if isinstance(error, GroupLostError):
        return True
    is_tensorflows = type(error).__module__.startswith("tensorflow")
    return "TF_CONFIG" in os.environ and is_tensorflows and type(error).__name__ in _LOSSES
