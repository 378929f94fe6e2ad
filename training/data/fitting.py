"""Prepared datasets as the recipes for texts and for series take them; what does not fit is said with the command that mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from skylift.artifacts.texts import row_of, text_of
from skylift.errors import RecipeError
from training.contract import Array, Data, Split, Task
from training.data.format import ColumnInfo, Description
from training.data.reading import describe, is_prepared, read

_RESHAPE = "add the dataset with such inputs and labels (--image-size, --text-bytes, --type, --ignore), or train another recipe on it"
LABELLED = ("classification", "binary")
GAP = 1.5
"""Between two values of a series nothing is missing while their distance is below this many usual ones."""


def read_texts(source: Path, length: int) -> Data:
    """Splits of texts, `[rows, length] uint8` each, and their labels.

    Rows of another length in the dataset are cut off behind a whole character, or filled up, in memory; of the same length they stay
    files (`data add --text-bytes`).

    Raises:
        RecipeError: it is not one column of texts and a label.
    """
    known = describe(source)
    _refuse_others(
        known, [column for column in known.columns if column.kind == "text"], "classification", _text_fix(known)
    )
    data = read(source)
    parts = (data.train, data.validation, data.test)
    train, validation, test = (Split(_of_length(part.x, length), part.y) for part in parts)
    return Data(train, validation, test, data.facts, labels=tuple(known.target.labels))


def read_series(source: Path) -> tuple[list[Array], dict[str, Any]]:
    """The target in the order of time, NaN where time has a gap, and what is known of it.

    One array: its rows were shared out without regard to time, so they are put together again, to be cut by whoever learns from
    them. Three, train, validation and test, where the splits are the user's own.

    Raises:
        RecipeError: it is not a column of numbers that tells the time and a value, or two values are of the same time.
    """
    known = describe(source)
    times = [column for column in known.columns if column.kind == "number"]
    _refuse_others(known, times, "regression", _series_fix(known))
    data = read(source)
    parts = [(np.asarray(part.x)[:, 0], part.y) for part in (data.train, data.validation, data.test)]
    if known.split_by == "content":
        parts = [(np.concatenate([time for time, _ in parts]), np.concatenate([value for _, value in parts]))]
    return [_in_order(time, value, times[0].name) for time, value in parts], dict(data.facts)


def fitted(task: Task, data: Data) -> Task:
    """The task with the labels and the unit of the data, where these have their own."""
    unit = task.unit if data.unit is None else data.unit
    return replace(task, labels=data.labels or task.labels, unit=unit)


@contextmanager
def named(recipe: str, ref: str | None, source: Path | None) -> Iterator[None]:
    """A RecipeError inside names the dataset too, and what there is in it."""
    try:
        yield
    except RecipeError as error:
        if ref is None or source is None:
            raise
        name, _, digest = ref.partition("@")
        message = error.message.removeprefix(f"recipe {recipe!r}: ")
        hint = _RESHAPE if error.details.get("where") == "load" and "problems" in error.details else error.hint
        raise RecipeError(
            f"recipe {recipe!r} on dataset {name}@{digest[:12]}: {message}",
            hint=f"{hint}; {_contents(describe(source))}" if is_prepared(source) else error.hint,
            details=error.details | {"recipe": recipe, "dataset": ref},
        ) from None


def _refuse_others(known: Description, wanted: Sequence[ColumnInfo], task: str, fix: str) -> None:
    wrong = []
    kind = "text" if task == "classification" else "numbers that tells the time"
    if len(wanted) != 1:
        wrong.append(f"it takes one column of {kind}, there are {len(wanted)}")
    others = [column.name for column in known.columns if column not in wanted]
    if others:
        wrong.append(f"it takes no other columns, there are {', '.join(others[:12])}")
    kinds = LABELLED if task == "classification" else (task,)
    if known.target.task not in kinds:
        wrong.append(f"it learns a {task}, {known.target.name!r} is prepared for a {known.target.task}")
    if wrong:
        raise RecipeError("; ".join(wrong), hint=f"add the dataset again: {fix}")


def _text_fix(known: Description) -> str:
    texts = [column for column in known.columns if column.kind == "text"]
    chosen = (texts or [column for column in known.columns if column.kind == "category"] or known.columns)[:1]
    kept = "".join(f" --type '{column.name}=text'" for column in chosen)
    task = "" if known.target.task in LABELLED else " --task classification"
    return f"skylift data add NAME PATH --target '{known.target.name}'{task}{kept}{_ignored(known, chosen)}"


def _series_fix(known: Description) -> str:
    chosen = [column for column in known.columns if column.kind == "number"][:1]
    task = "" if known.target.task == "regression" else " --task regression"
    told = "" if chosen else ", with a column that tells the time as a number, such as a year"
    return f"skylift data add NAME PATH --target '{known.target.name}'{task}{_ignored(known, chosen)}{told}"


def _ignored(known: Description, chosen: Sequence[ColumnInfo]) -> str:
    return "".join(f" --ignore '{column.name}'" for column in known.columns if column not in chosen)


def _contents(known: Description) -> str:
    columns = [
        f"{each.name} ({' '.join([each.kind, '×'.join(map(str, each.shape))]).strip()})" for each in known.columns
    ]
    shown = ", ".join(columns[:12]) + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")
    return f"the dataset has {shown} and the target {known.target.name} ({known.target.task})"


def _of_length(rows: Any, length: int) -> Array:
    if rows.shape[1] == length:
        found: Array = rows
        return found
    whole = b"".join(row_of(text_of(row.tobytes()), length) for row in np.asarray(rows))
    return np.frombuffer(whole, np.uint8).reshape(-1, length)


def _in_order(times: Array, values: Array, name: str) -> Array:
    order = np.argsort(times, kind="stable")
    distances = np.diff(times[order])
    if (distances <= 0).any():
        at = times[order][1:][distances <= 0][0]
        raise RecipeError(
            f"two values of the series have the same time, {name} = {at:.10g}",
            hint="give each value a time of its own; a time is held in 32 bits, so count large ones from the series' beginning",
        )
    usual = np.median(distances) if len(distances) else 0.0
    gaps = np.flatnonzero(distances > GAP * usual) + 1
    return np.insert(values[order].astype(np.float32), gaps, np.nan)
