"""What people give to `predict`, as rows that fit a model's input."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from skylift.artifacts.records import TaskInfo, TensorSpec
from skylift.errors import InputError

Array = npt.NDArray[Any]
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
    """Rows from a file's path (.json .npy .csv .png .jpg), an array or nested lists.

    Args:
        invert: images: take light for dark.

    Raises:
        InputError: the file cannot be read, or does not fit; both shapes are named.
    """
    if isinstance(source, str | Path):
        return _read_file(Path(source), inputs, task, invert)
    return _fit(source, inputs, "the input")


def _read_file(path: Path, inputs: list[TensorSpec], task: TaskInfo, invert: bool) -> Given:
    if not path.is_file():
        raise InputError(f"there is no file {path}", hint="give a .json, .npy, .csv, .png or .jpg file, or - for JSON")
    readers = {".json": _json, ".npy": _npy, ".csv": _csv}
    suffix = path.suffix.lower()
    try:
        if suffix in (".png", ".jpg", ".jpeg"):
            return _image(path, inputs, task, invert)
        if suffix not in readers:
            raise InputError(
                f"{path}: {suffix or 'no ending'} is none that is known", hint="known are .json .npy .csv .png .jpg"
            )
        value = _csv_rows(path, task) if suffix == ".csv" else readers[suffix](path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read: {error}", hint="check that the file is what its ending says"
        ) from None
    return _fit(value, inputs, str(path))


def _json(path: Path) -> Any:
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str) -> Any:
    """The rows of a JSON text: bare, or under `instances` or `inputs` as in a request to the server."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InputError(f"the input is not JSON: {error}", hint='write [[1, 2], [3, 4]] or {"instances": …}') from None
    if isinstance(value, dict):
        for key in ("instances", "inputs"):
            if key in value:
                return value[key]
    return value


def _npy(path: Path) -> Array:
    array: Array = np.load(path, allow_pickle=False)
    return array


def _csv(path: Path) -> Any:
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.reader(file) if row]


def _csv_rows(path: Path, task: TaskInfo) -> Any:
    """Rows of numbers; a header is used to put the columns in the model's order."""
    rows = _csv(path)
    if not rows:
        raise InputError(f"{path} is empty", hint="give at least one row")
    header = None if _numbers(rows[0]) is not None else [name.strip() for name in rows.pop(0)]
    if header and task.input_names:
        missing = [name for name in task.input_names if name not in header]
        if missing:
            raise InputError(
                f"{path} lacks the columns {', '.join(missing[:5])}", hint=f"it has {', '.join(header[:10])}"
            )
        order = [header.index(name) for name in task.input_names]
        rows = [[row[column] for column in order] for row in rows]
    for number, row in enumerate(rows, start=2 if header else 1):
        if _numbers(row) is None:
            raise InputError(f"{path}, row {number}: not all cells are numbers", hint="mend the row")
    return [_numbers(row) for row in rows]


def _numbers(row: list[str]) -> list[float] | None:
    try:
        return [float(cell) for cell in row]
    except ValueError:
        return None


def _image(path: Path, inputs: list[TensorSpec], task: TaskInfo, invert: bool) -> Given:
    from PIL import Image, UnidentifiedImageError

    shape = inputs[0].shape[1:]
    if len(inputs) != 1 or len(shape) != 3 or shape[2] not in (1, 3):
        raise InputError(
            f"{path}: this model takes no image, its input is {_shown(inputs[0])}", hint="give .json, .npy or .csv"
        )
    try:
        opened = Image.open(path)
        image = opened.convert("L" if shape[2] == 1 else "RGB")
    except UnidentifiedImageError:
        raise InputError(f"{path} is no image", hint="check that the file is what its ending says") from None
    notes = []
    height, width = shape[0] or image.height, shape[1] or image.width
    if (image.width, image.height) != (width, height):
        notes.append(f"scaled from {image.width}x{image.height} to {width}x{height}")
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, dtype=np.float32).reshape(1, height, width, shape[2])
    if invert:
        pixels = 255.0 - pixels
    edge = np.concatenate(
        [pixels[0, 0].ravel(), pixels[0, -1].ravel(), pixels[0, :, 0].ravel(), pixels[0, :, -1].ravel()]
    )
    if task.dark_background is not None and (edge.mean() < 128) != task.dark_background:
        learned = "light on dark" if task.dark_background else "dark on light"
        notes.append(f"the model learned from {learned} images and this one looks the other way round: try --invert")
    return Given(pixels.astype(_dtype(inputs[0])), tuple(notes))


def _fit(value: Any, inputs: list[TensorSpec], where: str) -> Given:
    """One row or a batch, in the shape that the model takes."""
    if len(inputs) != 1:
        rows = value if isinstance(value, list) else [value]
        if not all(isinstance(row, dict) for row in rows):
            names = ", ".join(spec.name for spec in inputs)
            raise InputError(f"{where}: this model takes several inputs", hint=f"give objects with the keys {names}")
        return Given(rows)
    spec = inputs[0]
    if spec.dtype in ("string", "object"):
        return Given(value if isinstance(value, list) else [value])
    try:
        array = np.asarray(value, dtype=_dtype(spec))
    except (ValueError, TypeError, OverflowError):
        raise InputError(
            f"{where} is no array of {spec.dtype}",
            hint=f"the model takes {_shown(spec)}; all rows must have one length",
        ) from None
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


def _matches(given: tuple[int, ...], wanted: list[int | None]) -> bool:
    return len(given) == len(wanted) and all(w is None or g == w for g, w in zip(given, wanted, strict=True))


def _dtype(spec: TensorSpec) -> npt.DTypeLike:
    return np.dtype("float32" if spec.dtype == "bfloat16" else spec.dtype)


def _shown(spec: TensorSpec) -> str:
    return f"[{', '.join('rows' if i == 0 else str(size or 'any') for i, size in enumerate(spec.shape))}] {spec.dtype}"
