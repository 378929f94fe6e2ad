"""What each column becomes, decided from the survey and what was asked; and all that speaks against it, at once."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from skylift.errors import InputError, nearest
from training.data.chunks import given_split
from training.data.problems import Problem, refusal
from training.data.survey import Column, Survey

Kind = Literal["number", "category", "text", "image", "tensor"]
Task = Literal["classification", "binary", "regression"]

MOSTLY = 0.9
"""Part of a text column's values that must be numbers for the column to be one; the others are of the wrong type."""
LABELS = 50
"""Most different whole numbers that are still taken for labels where nothing else was said."""
TEXT_BYTES = 1024
"""Longest row of text unless asked otherwise [bytes]."""
GROUPS = ("numbers", "categories", "target")
GUESSES = ("target", "label", "class", "labels", "y")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of the cleaning and the split. Shares are of the rows that stay."""

    target: str = ""
    task: Literal["", "classification", "regression"] = ""
    labels: list[str] = []
    """The only labels that there may be, in order."""
    types: dict[str, Literal["number", "category", "text"]] = {}
    ignore: list[str] = []
    missing: Literal["median", "mean", "drop", "keep"] = "median"
    outliers: Literal["keep", "drop", "clip"] = "keep"
    duplicates: Literal["drop", "keep"] = "drop"
    unreadable: Literal["refuse", "drop"] = "refuse"
    leaks: Literal["refuse", "drop"] = "refuse"
    split_column: str = ""
    validation_share: float = 0.15
    test_share: float = 0.15
    seed: int = 0
    image_size: list[int] = []
    """Height and width; else those of most images."""
    text_bytes: int = TEXT_BYTES


class ColumnPlan(msgspec.Struct, frozen=True):
    """What a column becomes."""

    name: str
    kind: Kind
    dtype: str = "float32"
    shape: list[int] = []
    """Of one row."""
    values: list[str] = []
    """category: all that occur, sorted."""


class Schema(msgspec.Struct, frozen=True):
    """What the dataset will be. `columns` are the inputs in the source's order; `labels` in the order of their codes."""

    columns: list[ColumnPlan]
    target: str
    task: Task
    labels: list[str]
    asked: Asked
    dropped: dict[str, str] = {}
    """Columns left out, and why."""

    def of(self, kind: Kind) -> list[ColumnPlan]:
        return [column for column in self.columns if column.kind == kind]


def decide(place: str, seen: Survey, asked: Asked, own_target: str = "") -> Schema:
    """The schema that fits.

    Raises:
        InputError: all that is wrong with the source or with what was asked of it.
    """
    problems = list(seen.problems)
    if not seen.rows and not problems:
        problems.append(Problem(what="there are no rows", fix="name a source with rows in it"))
    if problems and not seen.columns:
        raise refusal(place, problems)
    problems += _absent(seen, asked)
    guesses = [name for name in GUESSES if name in seen.columns]
    target = asked.target or own_target or (guesses[0] if len(guesses) == 1 else "")
    if target not in seen.columns:
        problems.append(_no_target(target, seen))
    columns, dropped = _columns(seen, asked, target, problems)
    task, labels = _target(seen, asked, target, problems) if target in seen.columns else ("regression", [])
    if not columns and not problems:
        problems.append(Problem(what="no column is left to learn from", fix="ignore fewer columns"))
    if problems:
        raise refusal(place, problems)
    return Schema(columns, target, task, labels, asked, dropped)


def _absent(seen: Survey, asked: Asked) -> list[Problem]:
    wanted = {**dict.fromkeys(asked.ignore, "--ignore"), **dict.fromkeys(asked.types, "--type")}
    if asked.split_column:
        wanted[asked.split_column] = "--split-column"
    found = []
    for name, option in wanted.items():
        if name not in seen.columns:
            near = nearest(name, seen.columns)
            fix = f"{option} {near}" if near else f"the columns are {', '.join(list(seen.columns)[:20])}"
            found.append(Problem(what=f"{option} names it, and there is no such column", fix=fix, column=name))
    for name, rows in seen.present.items():
        if rows != seen.rows:
            fix = f"add it to all files, or --ignore {name}"
            if name not in asked.ignore:
                found.append(Problem(what=f"is there for {rows} of {seen.rows} rows only", fix=fix, column=name))
    return found + _split_words(seen, asked)


def _split_words(seen: Survey, asked: Asked) -> list[Problem]:
    column = seen.columns.get(asked.split_column)
    if column is None:
        return []
    bad = [value for value in column.values or {} if not given_split(value)]
    if bad or column.values is None or column.missing:
        said = f"holds {bad[0]!r}" if bad else "has missing or too many values"
        return [Problem(what=said, fix="use train, validation and test", column=asked.split_column)]
    return []


def _no_target(target: str, seen: Survey) -> Problem:
    names = list(seen.columns)
    shown = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
    near = nearest(target, names) if target else None
    if target:
        return Problem(
            what="there is no such column",
            fix=f"--target {near}" if near else f"--target with one of {shown}",
            column=target,
        )
    other = next((each for each in ";\t|" if len(names) == 1 and each in names[0]), "")
    fix = f"--delimiter {other!r}" if other else f"--target with one of {shown}"
    return Problem(what="nothing says which column is to be learned", fix=fix)


def _columns(
    seen: Survey, asked: Asked, target: str, problems: list[Problem]
) -> tuple[list[ColumnPlan], dict[str, str]]:
    columns: list[ColumnPlan] = []
    dropped: dict[str, str] = {}
    for name, column in seen.columns.items():
        if name in (target, asked.split_column):
            continue
        if name in asked.ignore:
            dropped[name] = "asked"
        elif column.missing == seen.rows and "tensor" not in column.families:
            dropped[name] = "it holds nothing"
        else:
            plan = _column(name, column, asked, problems)
            if plan is not None and name in GROUPS and plan.kind in ("text", "image", "tensor"):
                problems.append(Problem(what="has a name that groups of columns have", fix="rename it", column=name))
            elif plan is not None:
                columns.append(plan)
    return columns, dropped


def _column(name: str, column: Column, asked: Asked, problems: list[Problem]) -> ColumnPlan | None:
    if column.families == ["tensor"]:
        return _tensor(name, column, problems)
    if column.families == ["image"]:
        return _image(name, column, asked, problems)
    if "tensor" in column.families or "image" in column.families:
        said = " and ".join(sorted(column.families))
        problems.append(Problem(what=f"holds {said} in different files", fix=f"--ignore {name}", column=name))
        return None
    kind = asked.types.get(name) or guess(column)
    if kind == "number" and column.others > column.numbers:
        problems.append(_wrong(name, column, f"mend the file, or --type {name}=category"))
        return None
    if kind == "category" and column.values is None:
        fix = f"--type {name}=text or --ignore {name}"
        problems.append(Problem(what="has more different values than a category may have (1000)", fix=fix, column=name))
        return None
    if kind == "category":
        return ColumnPlan(name, "category", "int32", [], sorted(column.values or {}))
    if kind == "text":
        return ColumnPlan(name, "text", "uint8", [max(min(column.longest, asked.text_bytes), 1)])
    return ColumnPlan(name, "number")


def guess(column: Column) -> Literal["number", "category", "text"]:
    """What a column of cells is taken for."""
    known = column.numbers + column.others
    if column.families == ["number"] or (known and column.numbers >= MOSTLY * known):
        return "number"
    if column.values is not None and len(column.values) <= max(20, known // 5):
        return "category"
    return "text"


def _wrong(name: str, column: Column, fix: str) -> Problem:
    first = column.examples[0]
    said = f"is no column of numbers: {column.others} of {column.others + column.numbers} values are none, such as {first.value!r}"
    return Problem(what=said, fix=fix, file=first.file, row=first.row, column=name)


def _tensor(name: str, column: Column, problems: list[Problem]) -> ColumnPlan | None:
    if len(column.forms) > 1:
        said = ", ".join(f"{count} rows {form}" for form, count in sorted(column.forms.items()))
        problems.append(Problem(what=f"differs in form: {said}", fix="give all rows one shape and type", column=name))
        return None
    dtype, _, shape = next(iter(column.forms)).partition(" ")
    stored = {"float64": "float32", "float16": "float32", "bool": "uint8"}.get(dtype, dtype)
    return ColumnPlan(name, "tensor", stored, [int(size) for size in shape.split("x")])


def _image(name: str, column: Column, asked: Asked, problems: list[Problem]) -> ColumnPlan | None:
    if asked.unreadable == "refuse":
        fix = "copy it again, or --unreadable drop"
        problems += [
            Problem(
                what="the file is empty" if each.value else "it is no whole PNG or JPEG",
                fix=fix,
                file=each.file,
                row=each.row,
            )
            for each in column.damaged
        ]
    if not column.forms:
        return None
    channels = max(int(form.rpartition("x")[2]) for form in column.forms)
    sizes = sorted(column.forms.items(), key=lambda item: (-item[1], item[0]))
    height, width = asked.image_size or [int(side) for side in sizes[0][0].split("x")[:2]]
    return ColumnPlan(name, "image", "uint8", [height, width, channels])


def _target(seen: Survey, asked: Asked, target: str, problems: list[Problem]) -> tuple[Task, list[str]]:
    column = seen.columns[target]
    if "tensor" in column.families or "image" in column.families:
        problems.append(Problem(what="a target is one value a row", fix="--target with another column", column=target))
        return "regression", []
    numeric = not column.others and bool(column.numbers)
    few = column.values is not None and len(column.values) <= min(LABELS, max(seen.rows // 2, 2))
    labelled = column.values is not None and (not numeric or (column.whole and few))
    if (asked.task or ("classification" if labelled or not numeric else "regression")) == "regression":
        if column.others > column.numbers:
            problems.append(
                _wrong(target, column, "mend the file, or --task classification, or --target with another column")
            )
        return "regression", []
    if column.values is None:
        fix = "--task regression if it is a quantity"
        problems.append(Problem(what="has more than 1000 different labels", fix=fix, column=target))
        return "classification", []
    labels = asked.labels or sorted(column.values, key=label_order)
    strange = [value for value in column.values if value not in labels]
    if strange:
        rows = sum(column.values[value] for value in strange)
        said = f"{rows} rows have labels out of range: {', '.join(sorted(strange, key=label_order)[:10])}"
        problems.append(Problem(what=said, fix="mend them, or name them in --labels", column=target))
    if len([label for label in labels if label in column.values]) < 2:
        only = next(iter(column.values), "nothing")
        problems.append(
            Problem(what=f"one class only: every row is {only!r}", fix="add rows of another class", column=target)
        )
    return ("binary" if len(labels) == 2 else "classification"), labels


def label_order(label: str) -> tuple[float, str]:
    """Numbers by value, before words by letter."""
    try:
        value = float(label)
    except ValueError:
        return math.inf, label
    return (value, label) if math.isfinite(value) else (math.inf, label)


def check(asked: Asked) -> None:
    """Refuse what cannot be meant.

    Raises:
        InputError: shares that leave nothing to train on, a size of nothing.
    """
    shares = (asked.validation_share, asked.test_share)
    if min(shares) < 0 or sum(shares) > 0.9:
        raise InputError(
            f"--validation {shares[0]:g} and --test {shares[1]:g} leave {1 - sum(shares):.0%} to train on",
            hint="both from 0 on, and together at most 0.9",
        )
    if asked.image_size and min(asked.image_size) < 1:
        raise InputError("--image-size must be at least 1x1", hint="--image-size 64x64")
