"""What a model is worth on the test split, in the measures that people ask for. Plain arrays in, plain values out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.contract import Array, Task
from training.report import judging

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Rows whose predictions were about equally sure: how sure on average, and which share of them was right."""

    rows: int
    sureness: float
    right: float


def measures(y: Array, outputs: Array, task: Task) -> dict[str, float]:
    """Measures by name, beside the loss and the task's own metrics.

    Of classes: precision, recall and F1, each the mean over the labels that occur; ROC-AUC, one label against the rest (none where a
    label does not occur); the expected calibration error (Naeini et al., 2015) over ten bins. Of values: the coefficient of
    determination, 1 for a perfect model and 0 for one that always says the mean.

    Args:
        y: targets as in a Split.
        outputs: the model's, row by row.
    """
    if task.kind == "regression":
        truth, guess = y.reshape(len(y), -1).astype(np.float64), outputs.reshape(len(y), -1).astype(np.float64)
        spread = ((truth - truth.mean(axis=0)) ** 2).sum()
        return {"r2": float(1 - ((guess - truth) ** 2).sum() / spread)} if spread > 0 else {}
    counts = judging.confusion(y, judging.classes_of(outputs, task), len(task.labels))
    scores = [each for each in judging.scores(counts, task.labels) if each.rows]
    found = {
        "precision": float(np.mean([each.precision or 0.0 for each in scores])),
        "recall": float(np.mean([each.recall or 0.0 for each in scores])),
        "f1": float(np.mean([each.f1 or 0.0 for each in scores])),
    }
    if len(scores) == len(task.labels):
        found["roc_auc"] = _roc_auc(y, outputs, task)
    bins = calibration(y, outputs, task)
    found["calibration_error"] = sum(each.rows * abs(each.sureness - each.right) for each in bins) / max(len(y), 1)
    return found


def calibration(y: Array, outputs: Array, task: Task) -> list[Bin]:
    """Ten bins by how sure the model was of its prediction; those without rows are left out."""
    predicted = judging.classes_of(outputs, task)
    share = outputs.reshape(len(y), -1).astype(np.float64)
    sure = np.where(predicted == 1, share[:, 0], 1 - share[:, 0]) if task.kind == "binary" else share.max(axis=1)
    right = predicted == y.reshape(-1)
    numbers = np.minimum((sure * BINS).astype(int), BINS - 1)
    chosen = [numbers == number for number in range(BINS)]
    return [Bin(int(rows.sum()), float(sure[rows].mean()), float(right[rows].mean())) for rows in chosen if rows.any()]


def _roc_auc(y: Array, outputs: Array, task: Task) -> float:
    from sklearn.metrics import roc_auc_score

    truth = y.reshape(-1).astype(np.int64)
    if task.kind == "binary":
        return float(roc_auc_score(truth, outputs.reshape(-1)))
    return float(roc_auc_score(np.eye(len(task.labels))[truth], outputs, average="macro"))
