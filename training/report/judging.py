"""What the outputs on the test split say: confusion, scores by class, rows worth a look. Plain arrays in, plain values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.contract import Array, Task


@dataclass(frozen=True)
class ClassScore:
    """Precision, recall and their harmonic mean of one label; None where nothing was predicted or nothing was there."""

    label: str
    rows: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Sample:
    """One row of the test split with what was predicted, and how sure the model was of it (None for regression)."""

    row: int
    true: str
    predicted: str
    sureness: float | None
    is_right: bool


def classes_of(outputs: Array, task: Task) -> Array:
    """The predicted class of every row, `[rows] int64`."""
    if task.kind == "binary":
        return (outputs.reshape(-1) >= 0.5).astype(np.int64)
    classes: Array = outputs.argmax(axis=-1).astype(np.int64)
    return classes


def confusion(y: Array, predicted: Array, classes: int) -> Array:
    """Counts `[true, predicted]`."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (y.reshape(-1).astype(np.int64), predicted), 1)
    return counts


def scores(counts: Array, labels: Sequence[str]) -> list[ClassScore]:
    """One score per label from the confusion counts."""
    return [_score(label, counts, index) for index, label in enumerate(labels)]


def _score(label: str, counts: Array, index: int) -> ClassScore:
    hits, there, said = int(counts[index, index]), int(counts[index].sum()), int(counts[:, index].sum())
    precision = hits / said if said else None
    recall = hits / there if there else None
    f1 = 2 * hits / (there + said) if there + said else None
    return ClassScore(label, there, precision, recall, f1)


def worst_mistakes(y: Array, outputs: Array, task: Task, count: int) -> list[Sample]:
    """Wrong rows, those first of which the model was most sure."""
    wrong = np.flatnonzero(classes_of(outputs, task) != y.reshape(-1))
    samples = [_sample(int(row), y, outputs, task) for row in wrong]
    return sorted(samples, key=lambda sample: -(sample.sureness or 0.0))[:count]


def typical(y: Array, outputs: Array, task: Task, count: int) -> list[Sample]:
    """Right rows spread over the labels, in the order of the test split."""
    right = np.flatnonzero(classes_of(outputs, task) == y.reshape(-1))
    by_label = [right[y.reshape(-1)[right] == label] for label in range(len(task.labels))]
    turns = [rows[turn] for turn in range(count) for rows in by_label if turn < len(rows)]
    return [_sample(int(row), y, outputs, task) for row in turns[:count]]


def largest_errors(y: Array, outputs: Array, task: Task, count: int) -> list[Sample]:
    """Regression: rows by distance between prediction and truth."""
    truth, guess = y.reshape(len(y), -1), outputs.reshape(len(y), -1)
    rows = np.argsort(-np.abs(guess - truth).mean(axis=1))[:count]
    return [Sample(int(row), _values(truth[row], task), _values(guess[row], task), None, False) for row in rows]


def _sample(row: int, y: Array, outputs: Array, task: Task) -> Sample:
    true = int(y.reshape(-1)[row])
    predicted = int(classes_of(outputs[row : row + 1], task)[0])
    share = float(outputs.reshape(-1)[row]) if task.kind == "binary" else float(outputs[row, predicted])
    sureness = 1 - share if task.kind == "binary" and not predicted else share
    return Sample(int(row), task.labels[true], task.labels[predicted], sureness, true == predicted)


def _values(values: Array, task: Task) -> str:
    text = ", ".join(f"{value:.4g}" for value in values[:4]) + (" …" if len(values) > 4 else "")
    return f"{text} {task.unit}".strip()
