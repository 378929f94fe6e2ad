"""Whether task, data and model fit each other. Each function raises one RecipeError that lists all that does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skylift.errors import RecipeError
from training.cluster.losing import is_loss
from training.contract import LOSSES, METRICS, Array, Data, Input, Split, Task
from training.loop import batches

_LABELS = {"classification": "at least two labels", "binary": "two labels, no and yes", "regression": "no labels"}
_SUM_TOLERANCE = 1e-3


def check_task(recipe: str, task: Task) -> None:
    """Kind, loss, metrics, labels and inputs, against each other."""
    wrong = []
    if task.kind not in _LABELS:
        wrong.append(f"kind {task.kind!r} is none of {', '.join(_LABELS)}")
    if task.kind not in LOSSES.get(task.loss, ()):
        fitting = [loss for loss, kinds in LOSSES.items() if task.kind in kinds]
        wrong.append(f"loss {task.loss!r} does not fit {task.kind} (allowed: {', '.join(fitting)})")
    wrong += [f"metric {each!r} is none of {', '.join(METRICS)}" for each in task.metrics if each not in METRICS]
    if task.kind == "regression" and "accuracy" in task.metrics:
        wrong.append("accuracy means nothing for regression; use mean_absolute_error")
    if not _labels_fit(task):
        wrong.append(f"{task.kind} takes {_LABELS.get(task.kind, 'labels')}, given {len(task.labels)}")
    if len({each.name for each in task.inputs}) != len(task.inputs) or not task.inputs:
        wrong.append("inputs must be at least one, each with a name of its own")
    wrong += [
        f"input {each.name!r} has the dtype {each.dtype!r}" for each in task.inputs if not _is_numeric(each.dtype)
    ]
    _raise(recipe, "task", wrong)


def check_data(recipe: str, data: Data, task: Task) -> None:
    """Every split is there, of the shapes and dtypes that the task promises, with targets that it can have."""
    wrong: list[str] = []
    for name in ("train", "validation", "test"):
        split = getattr(data, name)
        if split.rows == 0:
            wrong.append(f"the {name} split is empty")
            continue
        wrong += [f"{name}: {problem}" for problem in (*_input_problems(split, task), *_target_problems(split, task))]
    if not wrong and task.kind != "regression":
        found = np.unique(data.train.y)
        if len(found) == 1:
            label = task.labels[int(found[0])]
            wrong.append(f"train: one class only: every row is {label!r}; there is nothing to tell apart")
    _raise(recipe, "load", wrong)


def check_model(recipe: str, model: Any, data: Data, task: Task) -> None:
    """The model takes two rows of the training split and gives what the task says.

    Raises:
        RecipeError: it is no Keras model, cannot be called so, or its output has another shape or another last layer.
    """
    if not (hasattr(model, "count_params") and callable(model)):
        _raise(recipe, "build", [f"returned {type(model).__name__}, not a keras.Model"])
    rows = np.arange(min(2, data.train.rows))
    x = batches.inputs_of(data.train, task.inputs, rows)
    try:
        outputs = model(x, training=False)
    except Exception as error:
        if is_loss(error):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        _raise(recipe, "build", [f"the model cannot be called with inputs {_describe(task)}: {reason}"])
    if not hasattr(outputs, "numpy"):
        _raise(recipe, "build", ["the model has several outputs; a task has one"])
    _raise(recipe, "build", _output_problems(np.asarray(outputs), data, task, len(rows)))
    if not model.trainable_variables:
        _raise(recipe, "build", ["the model has nothing to learn: no trainable variables"])


def _output_problems(outputs: Array, data: Data, task: Task, rows: int) -> list[str]:
    expected = _expected_width(data, task)
    allowed = [(rows, expected)] + ([(rows,)] if expected == 1 else [])
    if task.kind == "regression":
        allowed.append((rows, *data.train.y.shape[1:]))
    if outputs.shape not in allowed:
        meaning = f"{len(task.labels)} labels" if task.kind == "classification" else f"{expected} value(s) per row"
        return [f"the model gives {_shape(outputs.shape[1:])} per row, the task has {meaning}: expected [{expected}]"]
    if outputs.dtype.kind != "f":
        return [f"the model gives {outputs.dtype}, not floating-point numbers"]
    if not np.isfinite(outputs).all():
        return []  # the loop names the step
    outside = bool((outputs < -_SUM_TOLERANCE).any() or (outputs > 1 + _SUM_TOLERANCE).any())
    if task.kind == "classification" and (outside or np.abs(outputs.sum(axis=-1) - 1).max() > _SUM_TOLERANCE):
        return ["the model's outputs are no probabilities: end it in `softmax`"]
    if task.kind == "binary" and outside:
        return ["the model's output is no probability: end it in `sigmoid`"]
    return []


def _expected_width(data: Data, task: Task) -> int:
    if task.kind == "classification":
        return len(task.labels)
    return 1 if task.kind == "binary" else int(np.prod(data.train.y.shape[1:], dtype=int))


def _input_problems(split: Split, task: Task) -> list[str]:
    if isinstance(split.x, Mapping):
        named: dict[str, Any] = dict(split.x)
    elif len(task.inputs) == 1:
        named = {task.inputs[0].name: split.x}
    else:
        return [f"x must be a mapping with the inputs {', '.join(each.name for each in task.inputs)}"]
    wrong = [f"x has no input {each.name!r}" for each in task.inputs if each.name not in named]
    for each in task.inputs:
        if each.name in named:
            wrong += _array_problems(named[each.name], each, split.rows)
    return wrong


def _array_problems(array: Any, expected: Input, rows: int) -> list[str]:
    if not all(hasattr(array, name) for name in ("shape", "dtype", "__getitem__")):
        return [f"input {expected.name!r} is {type(array).__name__}, not a numpy array"]
    wrong = []
    if len(array) != rows:
        wrong.append(f"input {expected.name!r} has {len(array)} rows, y has {rows}")
    shape = array.shape[1:]
    fits = len(shape) == len(expected.shape) and all(
        want is None or want == have for want, have in zip(expected.shape, shape, strict=True)
    )
    if not fits:
        wrong.append(
            f"input {expected.name!r} has rows of shape {_shape(shape)}, the task says {_shape(expected.shape)}"
        )
    if not np.can_cast(array.dtype, np.dtype(expected.dtype), "same_kind"):
        wrong.append(f"input {expected.name!r} has dtype {array.dtype}, the task says {expected.dtype}")
    return wrong


def _target_problems(split: Split, task: Task) -> list[str]:
    y: Any = split.y
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "iufb":
        return ["y is no numpy array of numbers"]
    if task.kind == "regression":
        return [] if np.isfinite(y).all() else ["y holds NaN or infinite values"]
    if y.size != len(y):
        return [f"y has shape {_shape(y.shape)}, expected one label per row"]
    known = len(task.labels)
    bad = np.unique(y[~np.isin(y, np.arange(known))])
    return [f"y holds {', '.join(map(str, bad[:3].tolist()))}, the labels are 0 to {known - 1}"] if len(bad) else []


def _labels_fit(task: Task) -> bool:
    count = len(task.labels)
    return {"classification": count >= 2, "binary": count == 2, "regression": count == 0}.get(task.kind, True)


def _is_numeric(dtype: str) -> bool:
    try:
        return np.dtype(dtype).kind in "iufb"
    except TypeError:
        return False


def _shape(shape: Any) -> str:
    return "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"


def _describe(task: Task) -> str:
    return ", ".join(f"{each.name} {_shape(each.shape)} {each.dtype}" for each in task.inputs)


def _raise(recipe: str, function: str, wrong: list[str]) -> None:
    if wrong:
        raise RecipeError(
            f"recipe {recipe!r}: {function}: " + "; ".join(wrong),
            hint="mend the recipe; docs/recipes.md shows the contract",
            details={"recipe": recipe, "where": function, "problems": wrong},
        )
