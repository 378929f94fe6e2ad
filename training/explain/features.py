"""The numbers of a row by names that people know, and rows as one table of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skylift.errors import InputError
from training.contract import Array, Task
from training.explain.result import Part
from training.explain.words import words
from training.export.compare import Named

MOST_COLUMNS = 200
"""Permutation and SHAP ask the model many times for each column."""


def parts(task: Task, rows: Named, shares: Named) -> tuple[Part, ...]:
    """Shares of one row by column, time step, word or place; of images none, for they have a map."""
    found: list[Part] = []
    for each in task.inputs:
        row, share = rows[each.name][0], shares[each.name]
        if is_text(task, row):
            found += words(row, share)
        elif is_picture(task, share):
            continue
        elif task.input_kind == "sequence" and share.ndim > 1:
            found += _steps(row, share)
        else:
            named = zip(names(task, each.name, row.shape), row.reshape(-1), share.reshape(-1), strict=True)
            found += [Part(name, float(own), _number(value)) for name, value, own in named]
    return tuple(found)


def is_text(task: Task, row: Array) -> bool:
    return task.input_kind == "text" and row.dtype == np.uint8 and row.ndim == 1


def is_picture(task: Task, row: Array) -> bool:
    """Whether a row of these is `[height, width]` or `[height, width, channels]`."""
    return task.input_kind == "image" and (row.ndim == 2 or (row.ndim == 3 and row.shape[2] <= 4))


def names(task: Task, name: str, shape: tuple[int, ...]) -> list[str]:
    """One for each number of a row of the input."""
    count = int(np.prod(shape, dtype=int))
    if len(task.input_names) == count and len(task.inputs) == 1:
        return list(task.input_names)
    if task.input_kind == "sequence" and shape:
        inner = count // shape[0] if shape[0] else 1
        return [_step(at // inner, shape[0]) + (f" [{at % inner}]" if inner > 1 else "") for at in range(count)]
    places = [", ".join(map(str, place)) for place in np.ndindex(*shape)]
    return [f"{name}[{place}]" for place in places]


def _steps(row: Array, share: Array) -> list[Part]:
    many = row.reshape(len(row), -1)
    return [
        Part(_step(at, len(row)), float(share[at].sum()), _number(many[at, 0]) if many.shape[1] == 1 else None)
        for at in range(len(row))
    ]


def _step(at: int, count: int) -> str:
    return f"step {at + 1} of {count}"


def _number(value: object) -> float:
    return float(value)  # type: ignore[arg-type]  # a number of an array


@dataclass(frozen=True)
class Table:
    """Rows of all inputs as one table of numbers, and back."""

    task: Task
    columns: list[str]
    shapes: dict[str, tuple[int, ...]]

    def flat(self, rows: Named) -> Array:
        """`[rows, columns] float64`, which holds every value of the inputs' types exactly."""
        joined = [rows[name].reshape(len(rows[name]), -1).astype(np.float64) for name in self.shapes]
        return np.concatenate(joined, axis=1)

    def rows(self, flat: Array) -> Named:
        """Rows in the inputs' own types."""
        types = {each.name: each.dtype for each in self.task.inputs}
        return {name: part.astype(types[name]) for name, part in self.spread(flat).items()}

    def spread(self, flat: Array) -> Named:
        """`[rows, columns]`, or one row of them, as the inputs have it, in its own type."""
        found, at, many = {}, 0, np.atleast_2d(flat)
        for name, shape in self.shapes.items():
            width = int(np.prod(shape, dtype=int))
            found[name] = many[:, at : at + width].reshape(-1, *shape)
            at += width
        return found


def table(task: Task, sample: Named, method: str) -> Table:
    """How rows such as these are laid out.

    Raises:
        InputError: images or texts, whose single numbers mean nothing, or too many columns.
    """
    columns = [name for each in task.inputs for name in names(task, each.name, sample[each.name].shape[1:])]
    if task.input_kind in ("image", "text") or len(columns) > MOST_COLUMNS:
        what = f"{task.input_kind}s" if task.input_kind in ("image", "text") else f"{len(columns)} columns"
        raise InputError(
            f"{method} explains tables of up to {MOST_COLUMNS} columns; this model takes {what}",
            hint="take `--method integrated-gradients`",
        )
    return Table(task, columns, {each.name: sample[each.name].shape[1:] for each in task.inputs})
