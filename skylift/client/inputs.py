"""What people give to `predict`, as rows that fit a model's input."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skylift.artifacts import pictures, texts
from skylift.artifacts.records import TaskInfo, TensorSpec
from skylift.errors import InputError

Array = npt.NDArray[Any]
TEXT = ("string", "object")
"""What a manifest calls a tensor of texts."""
Rows = Array | list[Any]
"""A batch: an array of numbers `[rows, …]`, or a list where the input is text or the model has several inputs."""


@dataclass(frozen=True)
class Given:
    """Rows for a request. `notes` say what was done to make them fit, and what looks odd."""

    rows: Rows
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


def read(source: Any, inputs: list[TensorSpec], task: TaskInfo, *, invert: bool = False) -> Given:
    """Rows from a file's path (.json .npy .csv .png .jpg .txt), an array, nested lists or texts in a list.

    Args:
        invert: images: take light for dark.

    Raises:
        InputError: the file cannot be read, or does not fit; then both shapes are named.
    """
    if isinstance(source, str | Path):
        return _read_file(Path(source), inputs, task, invert)
    return _fit(source, inputs, task, "the input")


def _read_file(path: Path, inputs: list[TensorSpec], task: TaskInfo, invert: bool) -> Given:
    if not path.is_file():
        raise InputError(
            f"there is no file {path}",
            hint='give a .json, .npy, .csv, .png, .jpg or .txt file; texts go in a list: ["…"]',
        )
    suffix = path.suffix.lower()
    try:
        if suffix in (".png", ".jpg", ".jpeg"):
            return _image(path, inputs, task, invert)
        if suffix == ".json":
            value = parse_json(path.read_text(encoding="utf-8-sig"), str(path))
        elif suffix == ".npy":
            value = _npy(path)
        elif suffix == ".csv":
            value = _csv_rows(path, inputs, task)
        elif suffix == ".txt":
            value = _text(path, inputs, task)
        else:
            raise InputError(
                f"{path}: {suffix or 'no ending'} is none that is known",
                hint="known are .json .npy .csv .png .jpg .txt",
            )
    except (OSError, EOFError, ValueError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(
            f"{path} cannot be read: {reason}", hint="check that the file is what its ending says"
        ) from None
    return _fit(value, inputs, task, str(path))


def parse_json(text: str, where: str = "the input") -> Any:
    """The rows of a JSON text: bare, or under `instances` or `inputs` as in a request to the server.

    Raises:
        InputError: it is no JSON.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: {error}", hint='write [[1, 2], [3, 4]] or {"instances": …}') from None
    if not isinstance(value, dict):
        return value
    if "instances" in value:
        return value["instances"]
    return _rows_of_columns(value["inputs"], where) if "inputs" in value else value


def _rows_of_columns(columns: Any, where: str) -> Any:
    """The column format of several inputs as rows; of one input, rows and columns are the same."""
    if not isinstance(columns, dict) or not all(isinstance(column, list) for column in columns.values()):
        return columns
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise InputError(f"{where}: the inputs differ in their numbers of rows: {lengths}", hint="give each as many")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _npy(path: Path) -> Array:
    array: Array = np.load(path, allow_pickle=False)
    return array


def _csv_rows(path: Path, inputs: list[TensorSpec], task: TaskInfo) -> list[list[float]]:
    """Rows of numbers; a header is used to put the columns in the model's order."""
    if any(spec.dtype in TEXT for spec in inputs) or _takes_bytes_of_text(inputs, task):
        raise InputError(f"{path}: this model takes text, and .csv is for numbers", hint="give the rows as .json")
    with path.open(newline="", encoding="utf-8-sig") as file:  # -sig: spreadsheets begin their files with a mark
        reader = csv.reader(file)
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    header = _header(lines[0][1], task) if lines else None
    rows = lines[1:] if header else lines
    if not rows:
        raise InputError(f"{path} holds no rows", hint="give at least one row of numbers")
    width = len(header or rows[0][1])
    order = _order(path, header, task) if header and task.input_names else list(range(width))
    return [_numbers(path, line, row, width, order) for line, row in rows]


def _header(first: list[str], task: TaskInfo) -> list[str] | None:
    """The names of the columns if the first line is no row: it has the model's names, or no number at all."""
    names = [cell.strip() for cell in first]
    if set(task.input_names) & set(names) or not any(_is_number(cell) for cell in first):
        return names
    return None


def _order(path: Path, header: list[str], task: TaskInfo) -> list[int]:
    missing = [name for name in task.input_names if name not in header]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(
            f"{path} lacks the columns {', '.join(missing[:5])}{more}", hint=f"it has {', '.join(header[:10])}"
        )
    return [header.index(name) for name in task.input_names]


def _numbers(path: Path, line: int, row: list[str], width: int, order: list[int]) -> list[float]:
    if len(row) != width:
        raise InputError(f"{path}, line {line} has {len(row)} cells, not {width}", hint="mend the line")
    for column in order:
        if not _is_number(row[column]):
            raise InputError(
                f"{path}, line {line}: {row[column]!r} is no number", hint="mend the line; cells are parted by commas"
            )
    return [float(row[column]) for column in order]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _image(path: Path, inputs: list[TensorSpec], task: TaskInfo, invert: bool) -> Given:
    shape = inputs[0].shape[1:]
    if len(inputs) != 1 or len(shape) != 3 or shape[2] not in pictures.CHANNELS:
        taken = ", ".join(_shown(spec) for spec in inputs)
        raise InputError(f"{path}: this model takes no image, its input is {taken}", hint="give .json, .npy or .csv")
    try:
        picture = pictures.read(path, shape)
    except pictures.PictureError as error:
        reason = f": {error.reason}" if error.reason else ""
        raise InputError(
            f"{path} is no image that can be read{reason}", hint="check that the file is what its ending says"
        ) from None
    notes = list(picture.notes)
    pixels = picture.pixels[None].astype(np.float32)
    if invert:
        pixels = 255.0 - pixels
    if task.dark_background is not None and (_edge(pixels[0]) < 128) != task.dark_background:
        learned = "light on dark" if task.dark_background else "dark on light"
        advice = "try without --invert" if invert else "try --invert"
        notes.append(f"the model learned from {learned} images and this one looks the other way round: {advice}")
    return Given(pixels.astype(_dtype(inputs[0])), tuple(notes))


def _edge(picture: Array) -> float:
    """How light the outermost pixels are."""
    sides = (picture[0], picture[-1], picture[:, 0], picture[:, -1])
    return float(np.concatenate([side.ravel() for side in sides]).mean())


def _text(path: Path, inputs: list[TensorSpec], task: TaskInfo) -> list[str]:
    """The whole file as one text."""
    if not (_takes_bytes_of_text(inputs, task) or (len(inputs) == 1 and inputs[0].dtype in TEXT)):
        taken = ", ".join(_shown(spec) for spec in inputs)
        raise InputError(f"{path}: this model takes no text, its input is {taken}", hint="give .json, .npy or .csv")
    text = path.read_text(encoding="utf-8-sig").strip()
    if not text:
        raise InputError(f"{path} holds no text", hint="write a text into it")
    return [text]


def _takes_bytes_of_text(inputs: list[TensorSpec], task: TaskInfo) -> bool:
    """Whether a row is a text's bytes: `[rows, length] uint8` of a task whose input is text."""
    return (
        task.input_kind == "text"
        and len(inputs) == 1
        and inputs[0].dtype == "uint8"
        and len(inputs[0].shape) == 2
        and inputs[0].shape[1] is not None
    )


def _text_rows(value: Any, length: int, where: str) -> Given:
    """Each text as the row of its bytes, with a note on those that are longer."""
    given: list[str] = [value] if isinstance(value, str) else value
    empty = [number for number, text in enumerate(given) if not text.strip()]
    if empty:
        raise InputError(f"{where}: text {empty[0]} is empty", hint="give at least one letter")
    long = sum(not texts.fits(text, length) for text in given)
    notes = (f"the model reads {length} bytes of a text: {long} of {len(given)} were cut off there",) if long else ()
    rows = np.frombuffer(b"".join(texts.row_of(text, length) for text in given), np.uint8)
    return Given(rows.reshape(len(given), length), notes)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)
    )


def _fit(value: Any, inputs: list[TensorSpec], task: TaskInfo, where: str) -> Given:
    """One row or a batch, in the shape that the model takes."""
    if len(inputs) != 1:
        return _fit_several(value, inputs, where)
    spec = inputs[0]
    value = _bare(value, spec.name)
    if spec.dtype in TEXT:
        return Given(value if isinstance(value, list) else [value])
    if _takes_bytes_of_text(inputs, task) and _is_text(value):
        return _text_rows(value, int(spec.shape[1] or 0), where)
    array = _converted(value, spec, where)
    if array.size == 0:
        raise InputError(f"{where} holds no rows", hint=f"the model takes {_shown(spec)}")
    shape = spec.shape[1:]
    if _matches(array.shape[1:], shape) and array.ndim == len(shape) + 1:
        return Given(array)
    if _matches(array.shape, shape):
        return Given(array[None])
    count = int(np.prod([size or 0 for size in shape])) if None not in shape else 0
    if count and array.size == count:
        return Given(array.reshape(1, *(int(size or 0) for size in shape)))
    if count and array.ndim >= 2 and array[0].size == count:
        return Given(array.reshape(len(array), *(int(size or 0) for size in shape)))
    raise InputError(
        f"{where} has shape {list(array.shape)}, the model takes {_shown(spec)}",
        hint="give one row, or several rows of that shape",
        details={"given": list(array.shape), "wanted": list(spec.shape)},
    )


def _fit_several(value: Any, inputs: list[TensorSpec], where: str) -> Given:
    rows = value if isinstance(value, list) else [value]
    names = [spec.name for spec in inputs]
    if not rows:
        raise InputError(f"{where} holds no rows", hint=f"give objects with the keys {', '.join(names)}")
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or set(row) != set(names):
            has = f"has the keys {', '.join(map(str, row)) or '(none)'}" if isinstance(row, dict) else "is no object"
            raise InputError(
                f"{where}: this model takes several inputs and row {number} {has}",
                hint=f"give objects with the keys {', '.join(names)}",
            )
    return Given(rows)


def _bare(value: Any, name: str) -> Any:
    """Rows of one input that is named, as a request to the server may do, without the name."""
    if isinstance(value, dict) and list(value) == [name]:
        return value[name]
    if isinstance(value, list) and value and all(isinstance(row, dict) and list(row) == [name] for row in value):
        return [row[name] for row in value]
    return value


def _converted(value: Any, spec: TensorSpec, where: str) -> Array:
    """Numbers of the model's kind; none that would become another number by it."""
    wanted = np.dtype(_dtype(spec))
    try:
        array = np.asarray(value)
        if wanted.kind in "iu" and array.dtype.kind in "fiu":
            with np.errstate(invalid="ignore"):
                whole = array.astype(wanted)
            if not np.array_equal(whole, array):
                raise InputError(
                    f"{where} holds numbers that are no {spec.dtype}", hint="give whole numbers in its range"
                )
            return whole
        return np.asarray(value, dtype=wanted)
    except (ValueError, TypeError, OverflowError):
        raise InputError(
            f"{where} is no array of {spec.dtype}",
            hint=f"the model takes {_shown(spec)}; all rows must have one length",
        ) from None


def _matches(given: tuple[int, ...], wanted: list[int | None]) -> bool:
    return len(given) == len(wanted) and all(w is None or g == w for g, w in zip(given, wanted, strict=True))


def _dtype(spec: TensorSpec) -> npt.DTypeLike:
    return np.dtype("float32" if spec.dtype == "bfloat16" else spec.dtype)


def _shown(spec: TensorSpec) -> str:
    return f"[{', '.join('rows' if i == 0 else str(size or 'any') for i, size in enumerate(spec.shape))}] {spec.dtype}"
