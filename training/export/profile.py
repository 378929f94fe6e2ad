"""What a model's inputs and outputs looked like when it was made, for its manifest: serving compares requests with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from skylift.artifacts.profile_records import Measure, Profile, TensorProfile
from skylift.artifacts.profiles import profile_of
from training.contract import Array, Input, Split, Task
from training.export.signature import output_name
from training.loop.batches import inputs_of

ROWS = 20_000
ELEMENTS = 8_000_000
"""Numbers of an input that are looked at, at most: of large rows fewer."""
FEWEST = 200
"""Rows that are looked at however large they are."""


def make_profile(task: Task, train: Split, outputs: Array) -> Profile:
    """The profile.

    Args:
        train: rows that the model learned from.
        outputs: what it gives for rows that it did not learn from, `[rows, …]`: for those that it knows it is too sure of itself.
    """
    rows = _spread(train.rows, min(ROWS, max(FEWEST, ELEMENTS // max(_elements(train), 1))))
    taken = inputs_of(train, task.inputs, rows)
    columns = taken if isinstance(taken, Mapping) else {task.inputs[0].name: taken}
    return Profile(
        rows=len(rows),
        inputs=[made for each in task.inputs for made in _input(task, each, columns[each.name])],
        outputs=_output(task, outputs),
    )


def _spread(rows: int, most: int) -> Array:
    """Row numbers, evenly spread."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.int64))


def _elements(split: Split) -> int:
    """Numbers of one row."""
    parts = split.x.values() if isinstance(split.x, Mapping) else [split.x]
    return int(sum(part[:1].size for part in parts))


def _input(task: Task, each: Input, values: Array) -> list[TensorProfile]:
    if values.dtype.kind not in "biufOSU":
        return []
    names = task.input_names if len(task.inputs) == 1 else ()
    return _tried(each.name, values, _measure(task, values), names)


def _tried(name: str, values: Array, measure: Measure, names: Sequence[str] = ()) -> list[TensorProfile]:
    """None of a tensor that cannot be measured: a model is published without its profile rather than not."""
    try:
        return [profile_of(name, values, measure, names)]
    except (ValueError, TypeError, IndexError) as error:
        print(f"no profile of {name}: {error}", flush=True)
        return []


def _measure(task: Task, values: Array) -> Measure:
    if values.dtype.kind in "OSU":
        return "strings"
    if task.input_kind == "text" and values.ndim == 2 and values.dtype == np.uint8:
        return "text"
    if values.ndim > 2 or task.input_kind in ("image", "sequence"):
        return "whole"
    return "features"


def _output(task: Task, outputs: Array) -> list[TensorProfile]:
    measures: dict[str, Measure] = {"classification": "classes", "binary": "probability"}
    rows = _spread(len(outputs), ROWS)
    return _tried(output_name(task), outputs[rows].reshape(len(rows), -1), measures.get(task.kind, "features"))
