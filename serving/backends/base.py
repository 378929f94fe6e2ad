"""The one small interface that everything that computes stands behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy.typing as npt

from serving.signature import ModelSignature

Array = npt.NDArray[Any]


class RunError(Exception):
    """A model refused its input (`is_callers_fault`) or broke."""

    def __init__(self, message: str, *, is_callers_fault: bool) -> None:
        super().__init__(message)
        self.message = message
        self.is_callers_fault = is_callers_fault


class Backend(Protocol):
    """A loaded model. `run` is called by one thread at a time."""

    name: str
    signatures: Mapping[str, ModelSignature]

    def run(self, signature: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name; strings are object arrays of bytes.

        Raises:
            RunError: the model refused or broke.
        """
        ...

    def close(self) -> None:
        """Let the memory go."""
        ...
