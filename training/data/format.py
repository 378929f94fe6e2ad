"""dataset.json: all that a recipe, a command or a person needs to know of a prepared dataset. Holds no time and no path of a machine."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from training.data.shards import Shard

FILE = "dataset.json"
PROFILE = "profile.html"


class Normalisation(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of the training split: one number, or one for each channel."""

    mean: list[float] = []
    deviation: list[float] = []
    minimum: list[float] = []
    maximum: list[float] = []


class ColumnInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An input column; `vocabulary` gives a category's codes from 1 on, 0 is unknown or missing."""

    name: str
    kind: str
    group: str
    dtype: str
    shape: list[int] = []
    vocabulary: list[str] = []
    fill: float | None = None
    normalisation: Normalisation = Normalisation()


class TargetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`labels` in the order of their codes; none for a regression."""

    name: str
    task: str
    labels: list[str] = []
    normalisation: Normalisation = Normalisation()


class SplitInfo(msgspec.Struct, frozen=True):
    """Rows of a split, of each label, and where they lie."""

    rows: int
    classes: list[int]
    shards: list[Shard]


class Cleaned(msgspec.Struct, frozen=True, kw_only=True):
    """What was done about a column. `missing`, `wrong` and `outliers` count cells; `did` says what became of them."""

    column: str
    missing: int = 0
    wrong: int = 0
    outliers: int = 0
    filled: int = 0
    unknown: int = 0
    cut: int = 0
    did: str = ""


class Cleaning(msgspec.Struct, frozen=True, kw_only=True):
    """Rows from the source to the dataset, and what was found by column."""

    rows_read: int
    rows_kept: int
    duplicates: int = 0
    duplicates_dropped: int = 0
    contradicting: int = 0
    """Of the duplicates, those with another target."""
    unusable: int = 0
    """Dropped: no target, or nothing that can be read."""
    incomplete: int = 0
    """Dropped because something was missing."""
    outliers_dropped: int = 0
    leaks_dropped: int = 0
    columns: list[Cleaned] = []
    left_out: dict[str, str] = {}


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of dataset.json."""

    SCHEMA: ClassVar[int] = 1
    schema: int = 1
    source: str
    columns: list[ColumnInfo]
    target: TargetInfo
    splits: dict[str, SplitInfo]
    cleaning: Cleaning
    split_by: str
    seed: int
    statistics_exact: bool
    """Whether medians and fences were taken from all training rows, else from a sample of them."""
