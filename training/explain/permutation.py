"""Permutation importance (Breiman 2001; Fisher, Rudin, Dominici 2019): what the test split's loss gains when a column is shuffled.

It explains the model as a whole: a column that the model does not use gets exactly 0. Columns that say the same (radius and
perimeter) stand in for each other, so each of them may get less than they are worth together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.contract import Array, Split, Task
from training.explain.features import Table
from training.explain.result import Part
from training.export.compare import Named

REPEATS = 10
MOST_ROWS = 2000
ROWS_AT_ONCE = 8192

Predict = Callable[[Named], Array]
"""Outputs `[rows, n]` of rows by input."""


def permutation(predict: Predict, table: Table, rows: Named, y: Array, task: Task, seed: int) -> tuple[Part, ...]:
    """How much worse the loss and the first metric become without each column: mean and deviation over ten shuffles."""
    flat = table.flat(rows)
    whole = judge(task, y, in_pieces(predict, table, flat))
    found = []
    for column, name in enumerate(table.columns):
        rng = np.random.default_rng([seed, column])
        worse = []
        for _ in range(REPEATS):
            shuffled = flat.copy()
            shuffled[:, column] = rng.permutation(flat[:, column])
            worse.append(judge(task, y, in_pieces(predict, table, shuffled)))
        loss = np.array([each["loss"] - whole["loss"] for each in worse])
        more = {
            f"{metric} lost": float(np.mean([whole[metric] - each[metric] for each in worse]))
            for metric in ("accuracy",)
            if metric in whole
        }
        found.append(Part(name, float(loss.mean()), spread=float(loss.std()), more=more))
    return tuple(found)


def in_pieces(predict: Predict, table: Table, flat: Array) -> Array:
    return np.concatenate(
        [predict(table.rows(flat[start : start + ROWS_AT_ONCE])) for start in range(0, len(flat), ROWS_AT_ONCE)]
    )


def judge(task: Task, y: Array, outputs: Array) -> dict[str, float]:
    """The task's loss in plain numbers, and the accuracy of classes."""
    if task.kind == "regression":
        off = outputs.reshape(len(y), -1).astype(np.float64) - y.reshape(len(y), -1)
        return {"loss": float((np.abs(off) if task.loss == "mean_absolute_error" else off**2).mean())}
    share = np.clip(outputs.reshape(len(y), -1).astype(np.float64), 1e-7, 1 - 1e-7)
    truth = y.reshape(-1).astype(int)
    if task.kind == "binary":
        share = np.concatenate([1 - share, share], axis=1)
    own = share[np.arange(len(y)), truth]
    return {"loss": float(-np.log(own).mean()), "accuracy": float((share.argmax(axis=1) == truth).mean())}


def chosen_rows(split: Split, seed: int) -> Array:
    """All rows, or as many as are enough, chosen by seed."""
    if split.rows <= MOST_ROWS:
        return np.arange(split.rows)
    return np.sort(np.random.default_rng(seed).choice(split.rows, MOST_ROWS, replace=False))
