"""What a form is worth: the task's first metric over the test split, computed by the form's own runtime."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from skylift.artifacts.records import FormatName
from training.contract import Array, Data, Task
from training.export import tflite
from training.export.compare import Named, Runner
from training.export.running import onnx_runner, onnx_session, saved_model_runner
from training.loop.batches import in_order, targets_of
from training.report.judging import classes_of

ROWS = 256


def runner_of(form: FormatName, path: Path) -> Runner:
    """Calls a stored form by the names of its inputs."""
    if form == "onnx":
        return onnx_runner(onnx_session(path))
    if form == "tflite":
        return tflite.runner(path)
    import tensorflow as tf

    return saved_model_runner(tf, path)


def outputs_of(run: Runner, data: Data, task: Task) -> Array:
    """What a form says of every row of the test split, `[rows, …]`."""
    parts = []
    for x, _ in in_order(data.test, task, ROWS):
        rows: Named = x if isinstance(x, dict) else {task.inputs[0].name: x}
        parts.append(next(iter(run(rows).values())))
    return np.concatenate(parts)


def metric_of(task: Task) -> str:
    return task.metrics[0] if task.metrics else ("accuracy" if task.kind != "regression" else "mean_squared_error")


def value_of(outputs: Array, data: Data, task: Task) -> float:
    """The metric over the test split."""
    if metric_of(task) == "accuracy":
        return float((classes_of(outputs, task) == data.test.y.reshape(-1)).mean())
    wrong = outputs.reshape(len(outputs), -1) - targets_of(task, data.test.y).reshape(len(outputs), -1)
    return float(np.mean(wrong**2 if metric_of(task) == "mean_squared_error" else np.abs(wrong)))


def loss_of(task: Task, original: float, value: float) -> float:
    """How much worse: points of accuracy, or of an error its growth relative to the original's. Below zero: better."""
    if metric_of(task) == "accuracy":
        return original - value
    return (value - original) / max(original, 1e-12)


def sizes(path: Path) -> tuple[int, int]:
    """Bytes of a file or folder as it is, and compressed by gzip, file by file."""
    files = [each for each in [path, *sorted(path.rglob("*"))] if each.is_file()]
    contents = [each.read_bytes() for each in files]
    return sum(map(len, contents)), sum(len(gzip.compress(content, 6, mtime=0)) for content in contents)
