"""Smaller and faster forms of a published model, made and measured on this machine by the training program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from skylift.artifacts import models
from skylift.artifacts.optimized import Optimized
from skylift.launch import asking, recipes

if TYPE_CHECKING:
    from skylift.client.stack import Stack

METHODS = ("int8", "float16", "weights-int8", "prune", "channels", "qat")


@dataclass(frozen=True)
class Optimizing:
    """How to optimise.

    Args:
        methods: of METHODS; empty for all that fit the model.
        max_loss: what a form may lose and still be accepted: points of accuracy; of an error its growth relative to the original's.
        sparsity: the share of weights (`prune`) or channels (`channels`) that goes; None for 0.8 and 0.5.
        epochs: of fine-tuning, for the methods that learn.
        publish: a method whose forms become a new version, `best` for the one that is recommended, or `none`.
        html: where to write the table as a page.
    """

    methods: Sequence[str] = ()
    max_loss: float = 0.01
    sparsity: float | None = None
    epochs: int = 2
    seed: int = 0
    publish: str = "none"
    html: Path | None = None


def optimize(
    stack: Stack, model: str, how: Optimizing = Optimizing(), progress: asking.Progress = lambda done, total, text: None
) -> Optimized:
    """Try methods on a version, and publish one of them if that is asked.

    Raises:
        NotFoundError: no such version.
        InputError: an unknown method, a setting out of range, or no method that was asked for fits the model.
        MachineError: this machine lacks what training needs.
    """
    from skylift.client.stack import who

    ref = models.resolve(stack.keep, model)
    recipes.require_training()
    arguments = ["optimize", f"{ref.name}@{ref.digest}", f"--keep={stack.keep.url}", f"--by={who()}"]
    arguments += [f"--method={method}" for method in how.methods]
    arguments += [
        f"--max-loss={how.max_loss}",
        f"--epochs={how.epochs}",
        f"--seed={how.seed}",
        f"--publish={how.publish}",
    ]
    if how.sparsity is not None:
        arguments.append(f"--sparsity={how.sparsity}")
    if how.html is not None:
        arguments.append(f"--html={how.html.absolute()}")
    return msgspec.convert(asking.ask_training_aloud(arguments, progress), Optimized)
