"""The Python API behind the commands.

stack = skylift.Stack("local")
run = stack.train(recipe="mnist")
stack.deploy(run.model)
stack.predict("digit.png")
"""

from __future__ import annotations

from skylift.client.prediction import Prediction
from skylift.client.stack import Stack
from skylift.client.training import Run

__all__ = ["Prediction", "Run", "Stack"]
