"""The Python API behind the commands.

stack = skylift.Stack("local")
run = stack.train(recipe="mnist")
stack.deploy(run.model)
stack.predict("digit.png")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from skylift.client.stack import Stack

if TYPE_CHECKING:
    from skylift.client.prediction import Prediction
    from skylift.client.training import Run

__all__ = ["Prediction", "Run", "Stack"]

_HOMES = {"Prediction": "skylift.client.prediction", "Run": "skylift.client.training"}


def __getattr__(name: str) -> Any:
    """Loads what only some commands need (numpy, with `prediction`) when it is first used."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'skylift.client' has no attribute {name!r}")
