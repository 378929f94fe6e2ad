"""A prepared dataset as a recipe's Data: a recipe's `load` of one is `return read(source)`.

Nothing is copied into memory: splits are memory-mapped shards, so that a set larger than memory streams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from skylift.artifacts.objects import DamagedError
from skylift.errors import RecipeError
from training.contract import Array, Data, Split
from training.data.format import FILE, Description


class Shards:
    """Arrays that lie one behind the other in files, as one: `.shape`, `.dtype`, rows by number, slice or array of numbers."""

    def __init__(self, parts: Sequence[Array]) -> None:
        self._parts = list(parts)
        self._ends = np.cumsum([len(part) for part in self._parts])
        self.dtype = self._parts[0].dtype
        self.shape: tuple[int, ...] = (int(self._ends[-1]), *self._parts[0].shape[1:])

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Array:
        if isinstance(rows, slice):
            return self._slice(rows)
        numbers = np.asarray(rows)
        if numbers.dtype == bool:
            numbers = np.flatnonzero(numbers)
        if numbers.ndim == 0:
            row: Array = self._take(numbers.reshape(1))[0]
            return row
        return self._take(numbers)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        whole = np.concatenate(self._parts) if len(self._parts) > 1 else np.asarray(self._parts[0])
        return whole.astype(dtype) if dtype is not None and dtype != whole.dtype else whole

    def _slice(self, rows: slice) -> Array:
        start, stop, step = rows.indices(len(self))
        if step != 1:
            return self._take(np.arange(start, stop, step))
        pieces = []
        for part, end in zip(self._parts, self._ends.tolist(), strict=True):
            begin = end - len(part)
            if end > start and begin < stop:
                pieces.append(part[max(start - begin, 0) : stop - begin])
        return np.concatenate(pieces) if pieces else np.empty((0, *self.shape[1:]), self.dtype)

    def _take(self, numbers: Array) -> Array:
        if len(numbers) and (numbers.min() < -len(self) or numbers.max() >= len(self)):
            raise IndexError(f"row {int(numbers.max())} of {len(self)}")
        numbers = np.where(numbers < 0, numbers + len(self), numbers)
        found = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        owner = np.searchsorted(self._ends, numbers, side="right")
        for part in np.unique(owner).tolist():
            mine = np.flatnonzero(owner == part)
            begin = int(self._ends[part]) - len(self._parts[part])
            found[mine] = self._parts[part][numbers[mine] - begin]
        return found


def is_prepared(source: Path | None) -> bool:
    """Whether a folder is a dataset that `skylift data add` has made."""
    return source is not None and (source / FILE).is_file()


def describe(source: Path) -> Description:
    """What dataset.json says.

    Raises:
        RecipeError: the folder is no prepared dataset, or one of a newer release.
    """
    if not is_prepared(source):
        raise RecipeError(
            f"{source} is no prepared dataset: it has no {FILE}", hint="`skylift data add NAME PATH` makes one"
        )
    try:
        found = msgspec.json.decode((source / FILE).read_bytes(), type=Description)
    except msgspec.ValidationError as error:
        raise RecipeError(
            f"{source / FILE} cannot be read: {error}", hint="add the dataset again, or upgrade skylift"
        ) from None
    if found.schema > Description.SCHEMA:
        raise RecipeError(
            f"{source / FILE} has schema {found.schema}, this release reads {Description.SCHEMA}",
            hint="upgrade skylift",
        )
    return found


def read(source: Path, *, labels: Sequence[str] = (), columns: Sequence[str] = ()) -> Data:
    """The dataset's splits.

    Args:
        labels: what the recipe's task says; the dataset must have just these, in this order.
        columns: the columns of numbers that the recipe takes, in order; the dataset must have just these.

    `x` is the one group of inputs where there is one (`numbers` `[rows, columns] float32`, `categories` `[rows, columns] int32`, or a
    text, image or tensor column under its own name), else a mapping of all of them.

    Raises:
        RecipeError: see describe(); or labels or columns are others than the recipe's.
        DamagedError: a shard is missing or is not what dataset.json says.
    """
    known = describe(source)
    _check("labels", labels, known.target.labels)
    _check("columns", columns, [column.name for column in known.columns if column.kind == "number"])
    splits = {name: _split(source, name, known) for name in ("train", "validation", "test")}
    cleaning = known.cleaning
    facts: dict[str, Any] = {"source": known.source, "rows read": cleaning.rows_read, "rows kept": cleaning.rows_kept}
    facts |= {"duplicates": cleaning.duplicates, "unusable": cleaning.unusable}
    return Data(splits["train"], splits["validation"], splits["test"], facts)


def _check(what: str, wanted: Sequence[str], there: Sequence[str]) -> None:
    if not wanted or list(wanted) == list(there):
        return
    strange = [name for name in there if name not in wanted] or [name for name in wanted if name not in there]
    shown = f", such as {strange[0]!r}" if strange else ", in another order"
    raise RecipeError(
        f"the dataset has other {what} than the recipe{shown}: {', '.join(there[:12]) or 'none'}",
        hint=f"the recipe takes {', '.join(wanted[:40])}; add the dataset with those, or train a recipe of your own on it",
    )


def _split(source: Path, name: str, known: Description) -> Split:
    shards = known.splits[name].shards
    groups: Mapping[str, Any] = {
        group: _joined([_mapped(source / shard.files[group], shard.rows) for shard in shards])
        for group in shards[0].files
    }
    inputs = {group: values for group, values in groups.items() if group != "target"}
    x = next(iter(inputs.values())) if len(inputs) == 1 else inputs
    return Split(x, np.asarray(groups["target"]))


def _joined(parts: list[Array]) -> Any:
    return parts[0] if len(parts) == 1 else Shards(parts)


def _mapped(path: Path, rows: int) -> Array:
    try:
        values: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DamagedError(f"{path} is missing or damaged: {error}", hint="fetch the dataset again") from None
    if len(values) != rows:
        raise DamagedError(f"{path} has {len(values)} rows, {FILE} says {rows}", hint="fetch the dataset again")
    return values
