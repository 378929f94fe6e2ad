"""The one small interface that everything that computes stands behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy.typing as npt

from serving.signature import ModelSignature

Array = npt.NDArray[Any]

Cause = Literal["refused", "broken", "unavailable", "late"]
"""Why a model gave no answer: its input is wrong; it failed; it cannot be reached or loaded just now; it was not in time."""


class RunError(Exception):
    """A model refused its input (`is_callers_fault`) or gave no answer.

    Args:
        cause: what an answer's status is made from: 400, 500, 503, 504. Left out, it follows from `is_callers_fault`.
        retry_after: [s], where trying again later may help.
    """

    def __init__(
        self, message: str, *, is_callers_fault: bool, cause: Cause | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.is_callers_fault = is_callers_fault
        self.cause: Cause = cause or ("refused" if is_callers_fault else "broken")
        self.retry_after = retry_after


class Backend(Protocol):
    """A loaded model. `run` is called by `concurrency` threads at a time."""

    name: str
    platform: str
    """What computes, as Open Inference Protocol says it: `onnxruntime_onnx`, `tensorflow_savedmodel`, `tflite`, …"""
    signatures: Mapping[str, ModelSignature]
    methods: Mapping[str, str]
    """By signature, what it was exported for: one of `serving.interface`'s PREDICT, CLASSIFY, REGRESS."""
    defaults: Mapping[str, Mapping[str, Array]]
    """By signature, values of inputs that a request may leave out; `run` fills them in, too."""
    concurrency: int
    """How many calls of `run` may be under way at once: above 1 where several things compute, such as the parts of a chain."""

    def run(
        self,
        signature: str,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] = (),
        *,
        deadline: float | None = None,
    ) -> dict[str, Array]:
        """Outputs by name; strings are object arrays of bytes.

        Args:
            outputs: those that are wanted; none means all.
            deadline: by `time.monotonic`; whoever waits for something else than this machine's own work gives up then.

        Raises:
            RunError: the model refused or broke.
        """
        ...

    def close(self) -> None:
        """Let the memory go."""
        ...


def parts_of(backend: Backend) -> Mapping[str, Backend]:
    """What answers each signature. Each of the backends in it wants a queue and a thread of its own; most are one alone."""
    own: Mapping[str, Backend] | None = getattr(backend, "parts", None)
    return own if own is not None else dict.fromkeys(backend.signatures, backend)


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
