"""Sunspots: a recurrent network reads the counts of 22 years and says the next year's, trained on real counts since 1700.

The series is the yearly one that statsmodels carries, 1700 to 2008. The years are cut into three stretches, train, validation and
test in the order of time, and windows are cut inside each stretch: no year is in two splits, inputs included, so nothing leaks
from what comes later or from one split into another. A window with a missing or negative count is dropped and counted. Serving
takes raw counts and gives a count: the scaling, taken from the training years alone, and its inverse are inside the model.
A prepared dataset gives a series of any other kind, of which negative values count.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.contract import Array, Data, Input, Split, Task, setting
from training.data.fitting import read_series
from training.data.reading import is_prepared
from training.recipes.tables import column_of

FILE = "sunspots.csv"


@dataclass(frozen=True)
class Hyperparameters:
    """Measured: an error of 13.9 to 15.1 spots on the test split; to say last year's count again errs by 25.1."""

    epochs: int = 20
    batch_size: int = 16
    learning_rate: float = 5e-3
    schedule: str = "cosine"
    cell: str = setting("gru", "The kind of recurrent layer.", choices=("lstm", "gru"))
    units: int = setting(24, "Units of the recurrent layer.", minimum=1)
    dropout: float = setting(0.0, "Share of what the recurrent layer gives that is dropped.", minimum=0.0, maximum=0.95)
    window: int = setting(22, "Years that the model sees; 22 are two solar cycles.", minimum=2, maximum=60)
    validation_share: float = setting(
        0.2, "Share of the years to validate on, behind those of training.", minimum=0.05, maximum=0.4
    )
    test_share: float = setting(0.25, "Share of the years to test on, the last ones.", minimum=0.05, maximum=0.4)


def task(hp: Hyperparameters) -> Task:
    """The next year's count."""
    return Task(
        kind="regression",
        loss="mean_squared_error",
        inputs=(Input(shape=(hp.window, 1), dtype="float32", name="years"),),
        metrics=("mean_absolute_error",),
        unit="spots per year",
        input_kind="sequence",
    )


def load(hp: Hyperparameters, source: Path | None) -> Data:
    """statsmodels' series, a prepared dataset of a time and a value, or a folder's `sunspots.csv`: a line on top, then year and count."""
    prepared = source is not None and is_prepared(source)
    stretches, facts = read_series(source) if source is not None and prepared else _file(source)
    if len(stretches) == 1:
        (counts,) = stretches
        tested, validated = round(len(counts) * hp.test_share), round(len(counts) * hp.validation_share)
        stretches = np.split(counts, (len(counts) - tested - validated, len(counts) - tested))
    cut = [windows(stretch, hp.window) for stretch in stretches]
    facts |= {"windows with missing counts": sum(missing for _, missing in cut)}
    train, validation, test = (split for split, _ in cut)
    return Data(train, validation, test, facts, unit="" if prepared else None)


def build(hp: Hyperparameters, data: Data) -> Any:
    """Scaling, one recurrent layer, a value and the inverse of the scaling."""
    import keras
    from keras import layers

    seen = np.append(np.asarray(data.train.x), data.train.y)
    mean, deviation = float(seen.mean()), float(seen.std()) or 1.0
    years = keras.Input((hp.window, 1), name="years")
    scaled = layers.Rescaling(1 / deviation, -mean / deviation)(years)
    recurrent = {"lstm": layers.LSTM, "gru": layers.GRU}[hp.cell]
    change = layers.Dense(1)(layers.Dropout(hp.dropout)(recurrent(hp.units)(scaled)))
    last = layers.Flatten()(layers.Cropping1D((hp.window - 1, 0))(scaled))
    return keras.Model(years, layers.Rescaling(deviation, mean)(layers.Add()([last, change])))


def windows(counts: Array, length: int) -> tuple[Split, int]:
    """Each stretch of `length` years `[rows, length, 1]` with the count of the year behind it, and how many were dropped."""
    if len(counts) <= length:
        return Split(np.empty((0, length, 1), np.float32), np.empty(0, np.float32)), 0
    cut = np.lib.stride_tricks.sliding_window_view(counts, length + 1)
    whole = np.isfinite(cut).all(axis=1)
    return Split(cut[whole, :-1, None].copy(), cut[whole, -1].copy()), int((~whole).sum())


def _file(source: Path | None) -> tuple[list[Array], dict[str, Any]]:
    path = _bundled() if source is None else source / FILE
    counts = column_of(path, 1)
    return [np.where(counts < 0, np.nan, counts)], {"source": path.name, "years read": len(counts)}


def _bundled() -> Path:
    from importlib.util import find_spec

    spec = find_spec("statsmodels")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'statsmodels'", name="statsmodels")
    return (
        Path(spec.origin).parent / "datasets" / "sunspots" / FILE
    )  # read as a file: importing statsmodels takes seconds
