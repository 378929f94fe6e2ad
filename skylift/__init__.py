"""Skylift takes TensorFlow code from a laptop to GPUs on a cloud or on this machine, and serves the result there.

    >>> import skylift                                     # doctest: +SKIP
    >>> run = skylift.Stack("local").train(recipe="mnist") # doctest: +SKIP

Importing this package loads nothing heavy; the names below are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skylift.client import Prediction, Run, Stack
    from skylift.errors import SkyliftError

__version__ = "0.1.0"
__all__ = ["Prediction", "Run", "SkyliftError", "Stack", "__version__"]


_HOMES = {
    "Prediction": "skylift.client",
    "Run": "skylift.client",
    "Stack": "skylift.client",
    "SkyliftError": "skylift.errors",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'skylift' has no attribute {name!r}")
