"""Which of a model's numbers is explained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skylift.errors import InputError, nearest
from training.contract import Array, Task


@dataclass(frozen=True)
class Target:
    """One number of the output: a class's probability, or a value.

    Args:
        index: of the class in the task's order, or of the value.
        flips: a binary model gives the other class's probability.
        name: in words.
        label: of the class.
    """

    index: int
    name: str
    label: str | None = None
    flips: bool = False

    def of(self, outputs: Any) -> Any:
        """The number for each row `[rows]`, from outputs `[rows, n]`, of TensorFlow or numpy."""
        return 1.0 - outputs[:, 0] if self.flips else outputs[:, self._column]

    def raw(self, outputs: Any) -> Any:
        """The same of outputs before softmax or sigmoid, where the other class of a binary model has the other sign."""
        return -outputs[:, 0] if self.flips else outputs[:, self._column]

    def weights(self, width: int) -> Array:
        """`of` as weights of the outputs `[n, 1]`, but for what is constant."""
        found = np.zeros((width, 1), np.float32)
        found[0 if self.flips else self._column] = -1 if self.flips else 1
        return found

    @property
    def _column(self) -> int:
        return self.index

    def to_dict(self) -> dict[str, Any]:
        return {"index": self.index, "name": self.name, "label": self.label}


@dataclass(frozen=True)
class _Binary(Target):
    @property
    def _column(self) -> int:
        return 0


def labels_of(task: Task, width: int) -> tuple[str, ...]:
    """A name for each class; none for a regression."""
    if task.kind == "regression":
        return ()
    if task.kind == "binary":
        return task.labels if len(task.labels) == 2 else ("no", "yes")
    return task.labels if len(task.labels) == width else tuple(str(number) for number in range(width))


def choose(task: Task, outputs: Array, wanted: str | None, *, is_generic: bool = False) -> Target:
    """The class that was asked for, else the predicted one; of a regression its value.

    Args:
        outputs: of the one row `[1, n]`.
        is_generic: nothing is known of the numbers: the greatest is taken for the answer.

    Raises:
        InputError: no such class.
    """
    flat = outputs.reshape(-1)
    labels = labels_of(task, len(flat))
    if labels:
        index = _predicted(task, flat) if wanted is None else _index(wanted, labels)
        return class_target(task, labels, index)
    if wanted is not None:
        index = _index(wanted, tuple(str(number) for number in range(len(flat))))
    else:
        index = int(flat.argmax()) if is_generic else 0
    unit = f" in {task.unit}" if task.unit else ""
    return Target(index, f"value {index} of {len(flat)}{unit}" if len(flat) > 1 else f"the value{unit}")


def class_target(task: Task, labels: tuple[str, ...], index: int) -> Target:
    name = f"the probability of {labels[index]!r}"
    if task.kind == "binary":
        return _Binary(index, name, labels[index], flips=index == 0)
    return Target(index, name, labels[index])


def _predicted(task: Task, flat: Array) -> int:
    return int(flat[0] >= 0.5) if task.kind == "binary" else int(flat.argmax())


def _index(wanted: str, labels: tuple[str, ...]) -> int:
    if wanted in labels:
        return labels.index(wanted)
    folded = [label.casefold() for label in labels]
    if folded.count(wanted.casefold()) == 1:
        return folded.index(wanted.casefold())
    near = nearest(wanted, labels)
    shown = ", ".join(labels[:12]) + (f" and {len(labels) - 12} more" if len(labels) > 12 else "")
    raise InputError(
        f"the model knows no class {wanted!r}" + (f": did you mean {near!r}?" if near else ""), hint=f"it knows {shown}"
    )


def prediction(task: Task, outputs: Array) -> dict[str, Any]:
    """What the model says of the row, decoded."""
    flat = outputs.reshape(-1).astype(np.float64)
    labels = labels_of(task, len(flat))
    if not labels:
        value: Any = float(flat[0]) if len(flat) == 1 else flat.tolist()
        return {"label": None, "probability": None, "scores": {}, "value": value, "unit": task.unit}
    shares = [1 - float(flat[0]), float(flat[0])] if task.kind == "binary" else flat.tolist()
    best = _predicted(task, flat)
    scores = dict(zip(labels, shares, strict=True))
    return {"label": labels[best], "probability": shares[best], "scores": scores, "value": None, "unit": ""}
