"""The recipe contract: what a recipe is, and all that it needs to know of us. Imports nothing heavy.

A recipe is one Python module with four names. It says what to learn and never loops; one loop of ours runs every recipe.

    Hyperparameters   a frozen dataclass; every field typed (int, float, bool, str) and with a default, plain or by `setting`
    load(hp, source)  -> Data: arrays, split into train, validation and test
    build(hp, data)   -> an uncompiled keras.Model; normalisation is inside it, so that serving takes raw input
    task(hp)          -> Task: loss, metrics, labels, unit, input signature

`Hyperparameters` and `task` must work without TensorFlow: import it (and keras) inside `load` and `build`.

The loop has hyperparameters of its own (`epochs`, `batch_size`, `learning_rate`, …: training/loop/settings.py), which every
recipe takes; a recipe that declares a field of such a name gives it another default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy.typing as npt

Array = npt.NDArray[Any]

Scalar = int | float | bool | str
S = TypeVar("S", int, float, bool, str)

TaskKind = Literal["classification", "binary", "regression"]
InputKind = Literal["image", "tabular", "text", "sequence", "tensor"]

LOSSES: Mapping[str, tuple[TaskKind, ...]] = {
    "sparse_categorical_crossentropy": ("classification",),
    "binary_crossentropy": ("binary",),
    "mean_squared_error": ("regression",),
    "mean_absolute_error": ("regression",),
}
METRICS: tuple[str, ...] = ("accuracy", "mean_squared_error", "mean_absolute_error")


@dataclass(frozen=True)
class Split:
    """One part of the data.

    Args:
        x: inputs, `[rows, …]`; a mapping from input name to array where the model has several inputs.
        y: targets: labels `[rows] int64` (classification), 0 or 1 `[rows]` (binary), values `[rows, …] float32` (regression).
    """

    x: Array | Mapping[str, Array]
    y: Array

    @property
    def rows(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Data:
    """All data of a run.

    Args:
        facts: counts of what was cleaned, sources; they go into the report and the model's manifest.
        labels: of the classes, where the data have others than the task; `build` then ends in as many.
        unit: of the values, where the data have another than the task, "" for none.
    """

    train: Split
    validation: Split
    test: Split
    facts: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    unit: str | None = None


@dataclass(frozen=True)
class Input:
    """One input as serving takes it: raw, one row without the batch dimension, None where a dimension varies."""

    shape: tuple[int | None, ...]
    dtype: str = "float32"
    name: str = "input"


@dataclass(frozen=True)
class Task:
    """What a recipe's outputs mean.

    Args:
        kind: `classification` ends in softmax `[batch, labels]`, `binary` in sigmoid `[batch, 1]`, `regression` in `[batch, n]`.
        loss: one of LOSSES that fits the kind.
        inputs: raw inputs in order, the served signature.
        labels: one per class in order; two for binary (no, yes); empty for regression.
        metrics: of METRICS, computed beside the loss; the first one chooses the best checkpoint.
        unit: of a regression's value (`°C`, `spots per month`).
        input_kind: how people give one input to `predict`. Of `text` with one input `[length] uint8`, `predict` makes the row of
            a text by skylift.artifacts.texts.row_of, and so should `load`.
        input_names: tabular: the columns in order.
        dark_background: image: whether it learned from light on dark.
    """

    kind: TaskKind
    loss: str
    inputs: tuple[Input, ...]
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ("accuracy",)
    unit: str = ""
    input_kind: InputKind = "tensor"
    input_names: tuple[str, ...] = ()
    dark_background: bool | None = None


class Recipe(Protocol):
    """The four names; `__doc__`'s first line is what `skylift recipes` shows."""

    Hyperparameters: type[Any]
    load: Callable[[Any, Path | None], Data]
    build: Callable[[Any, Data], Any]
    task: Callable[[Any], Task]


def setting(
    default: S,
    help: str = "",  # noqa: A002  reads as the option's help
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[Scalar] = (),
) -> S:
    """A hyperparameter with its meaning and its limits, all inclusive.

    Examples:
        >>> @dataclass(frozen=True)
        ... class Hyperparameters:
        ...     dropout: float = setting(0.3, "Share of activations dropped.", minimum=0.0, maximum=0.95)
        >>> Hyperparameters().dropout
        0.3
    """
    limits = {"help": help, "minimum": minimum, "maximum": maximum, "choices": tuple(choices)}
    made: S = field(default=default, metadata=limits)
    return made


NAMES: tuple[str, ...] = ("Hyperparameters", "load", "build", "task")
