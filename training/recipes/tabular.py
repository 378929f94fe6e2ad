"""Breast cancer: a small dense network over 569 real examinations of 30 measures each says benign or malignant.

The table is the Wisconsin diagnostic set that scikit-learn carries. Rows with a missing or infinite measure or a label other than
0 and 1, and exact copies of earlier rows, are dropped and counted. Serving takes the raw measures: the mean and the deviation of
each column, taken from the training split alone, are the model's first layer. Good to learn with, no medical device.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.contract import Array, Data, Input, Split, Task, setting
from training.data.reading import is_prepared, read
from training.recipes.splits import stratified
from training.recipes.tables import table_of

FILE = "breast_cancer.csv"
COLUMNS: tuple[str, ...] = tuple(
    f"{statistic}{measure}{end}"
    for statistic, end in (("mean ", ""), ("", " error"), ("worst ", ""))
    for measure in (
        *("radius", "texture", "perimeter", "area", "smoothness"),
        *("compactness", "concavity", "concave points", "symmetry", "fractal dimension"),
    )
)


@dataclass(frozen=True)
class Hyperparameters:
    """Measured to reach 0.965 to 0.979 on the test split."""

    epochs: int = 40
    batch_size: int = 32
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    units: int = setting(64, "Units of each of the two hidden layers.", minimum=1)
    dropout: float = setting(0.3, "Share of activations dropped behind each hidden layer.", minimum=0.0, maximum=0.95)
    validation_share: float = setting(0.15, "Share of each class to validate on.", minimum=0.01, maximum=0.4)
    test_share: float = setting(0.25, "Share of each class to test on.", minimum=0.01, maximum=0.4)
    split_seed: int = setting(0, "Which rows fall into which split.", minimum=0)


def task(hp: Hyperparameters) -> Task:
    """No or yes: is it malignant?"""
    return Task(
        kind="binary",
        loss="binary_crossentropy",
        inputs=(Input(shape=(len(COLUMNS),), dtype="float32", name="measures"),),
        labels=("benign", "malignant"),
        metrics=("accuracy",),
        input_kind="tabular",
        input_names=COLUMNS,
    )


def load(hp: Hyperparameters, source: Path | None) -> Data:
    """scikit-learn's table, a prepared dataset of it, or a folder's `breast_cancer.csv`: 30 measures, 0 malignant or 1."""
    if source is not None and is_prepared(source):
        return read(source, labels=task(hp).labels, columns=COLUMNS)
    path = _bundled() if source is None else source / FILE
    table = table_of(path, len(COLUMNS) + 1, header=True)
    measures, malignant, dropped = clean(table)
    parts = stratified(malignant, hp.validation_share, hp.test_share, hp.split_seed)
    facts = {"source": path.name, "rows read": len(table), **dropped, "rows kept": len(malignant)}
    train, validation, test = (Split(measures[rows], malignant[rows]) for rows in parts)
    return Data(train, validation, test, facts)


def build(hp: Hyperparameters, data: Data) -> Any:
    """Normalisation, two hidden layers, sigmoid: 6,209 parameters to learn as it stands."""
    import keras
    from keras import layers

    normalise = layers.Normalization()
    normalise.adapt(np.asarray(data.train.x))
    return keras.Sequential(
        [
            keras.Input((len(COLUMNS),), name="measures"),
            normalise,
            layers.Dense(hp.units, activation="relu"),
            layers.Dropout(hp.dropout),
            layers.Dense(hp.units, activation="relu"),
            layers.Dropout(hp.dropout),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def clean(table: Array) -> tuple[Array, Array, dict[str, int]]:
    """Measures `[rows, 30] float32`, 1 for malignant `[rows] int64`, and how many rows were dropped for which reason."""
    whole = np.isfinite(table).all(axis=1)
    known = whole & np.isin(table[:, -1], (0, 1))
    measures, benign = table[known, :-1].astype(np.float32), table[known, -1].astype(np.int64)
    _, first = np.unique(measures, axis=0, return_index=True)
    kept = np.sort(first)
    dropped = {
        "missing values": int((~whole).sum()),
        "unknown labels": int((whole & ~known).sum()),
        "duplicates": len(measures) - len(kept),
    }
    return measures[kept], 1 - benign[kept], dropped


def _bundled() -> Path:
    from importlib.resources import files

    return Path(str(files("sklearn.datasets") / "data" / FILE))
