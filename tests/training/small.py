"""Small tasks, data and models for tests of the loop, with TensorFlow in their own process."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.contract import Input, Split, Task
from training.loop.learner import Learner
from training.loop.settings import LoopSettings

POINT = (Input((4,), "float32", "point"),)
CLASSES = Task("classification", "sparse_categorical_crossentropy", POINT, ("a", "b", "c"))
BINARY = Task("binary", "binary_crossentropy", POINT, ("no", "yes"))
VALUES = Task("regression", "mean_squared_error", POINT, metrics=("mean_absolute_error", "mean_squared_error"))
TWO_INPUTS = Task(
    "regression", "mean_squared_error", (Input((4,), "float32", "left"), Input((2, 3), "float32", "right")), metrics=()
)


def split(task: Task, rows: int = 70, seed: int = 0) -> Split:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    if task.kind == "regression":
        y = (x @ [1.0, -2.0, 0.5, 0.0] + 3).astype(np.float32)
    else:
        y = (np.abs(x).argmax(axis=1) % len(task.labels)).astype(np.int64)
    if len(task.inputs) > 1:
        return Split({"left": x, "right": rng.normal(size=(rows, 2, 3)).astype(np.float32)}, y)
    return Split(x, y)


def model_for(keras: Any, task: Task, *, units: int | None = None, end: str | None = None) -> Any:
    ends = {"classification": (len(task.labels), "softmax"), "binary": (1, "sigmoid"), "regression": (1, None)}
    width, activation = ends[task.kind]
    inputs = [keras.Input(each.shape, name=each.name, dtype=each.dtype) for each in task.inputs]
    flat = [keras.layers.Flatten()(each) for each in inputs]
    joined = keras.layers.Concatenate()(flat) if len(flat) > 1 else flat[0]
    last = keras.layers.Dense(units or width, activation=end or activation)(keras.layers.Dense(8, "relu")(joined))
    return keras.Model(inputs if len(inputs) == 1 else {each.name: each for each in inputs}, last)


def learner_for(frameworks: tuple[Any, Any], task: Task, **settings: Any) -> Learner:
    tf, keras = frameworks
    return Learner(tf, keras, model_for(keras, task), task, LoopSettings(**settings), 100)
