"""Cells as values: text that means a number, text that means nothing, bytes that are text or an image."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from training.contract import Array

MISSING: tuple[str, ...] = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "none", "?", "-")
_MISSING = pa.array(MISSING, pa.string())
_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$"
_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


@dataclass(frozen=True)
class Numbers:
    """`values` float64 with NaN where there is none; `missing` and `wrong` say why, row by row. Infinite counts as wrong."""

    values: Array
    missing: Array
    wrong: Array


def is_text(column: Any) -> bool:
    return not isinstance(column, np.ndarray) and pa.types.is_string(column.type)


def is_binary(column: Any) -> bool:
    return not isinstance(column, np.ndarray) and pa.types.is_binary(column.type)


def missing_texts(column: Any) -> tuple[Any, Any]:
    """The trimmed texts, and which of them mean nothing."""
    trimmed = pc.utf8_trim_whitespace(column)
    return trimmed, pc.or_(pc.is_null(column), pc.fill_null(pc.is_in(trimmed, value_set=_MISSING), False))


def numbers(column: Any) -> Numbers:
    """A column as numbers."""
    if not is_text(column):
        values = pc.cast(column, pa.float64(), safe=False)
        missing = values.is_null(nan_is_null=True)
        return _numbers(_filled(values), _bools(missing))
    quick = _quick(column)
    if quick is not None:
        return quick
    trimmed, missing = missing_texts(column)
    fits = pc.and_(pc.invert(missing), pc.fill_null(pc.match_substring_regex(trimmed, _NUMBER), False))
    values = pc.cast(pc.if_else(fits, trimmed, None), pa.float64())
    return _numbers(_filled(values), _bools(missing))


def _quick(column: Any) -> Numbers | None:
    """Texts of which all are numbers or plainly missing, as most columns are: several times as quick as looking at each."""
    missing = pc.or_(pc.is_null(column), pc.fill_null(pc.is_in(column, value_set=_MISSING), False))
    try:
        values = _filled(pc.cast(pc.if_else(missing, None, column), pa.float64()))
    except pa.ArrowInvalid:
        return None
    empty = _bools(missing)
    return Numbers(values, empty, np.zeros(len(column), bool)) if np.isfinite(values[~empty]).all() else None


def _numbers(values: Array, missing: Array) -> Numbers:
    usable = np.isfinite(values)
    return Numbers(np.where(usable, values, np.nan), missing, ~usable & ~missing)


def _filled(values: Any) -> Array:
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)


def _bools(column: Any) -> Array:
    return np.asarray(column.to_numpy(zero_copy_only=False), bool)


def texts(column: Any) -> Any:
    """A column as texts, null where nothing is meant. Whole numbers are written without a point."""
    if is_binary(column):
        column = pc.cast(column, pa.string())
    if is_text(column):
        trimmed, missing = missing_texts(column)
        return pc.if_else(missing, None, trimmed)
    return pa.array([number_text(value) for value in column.to_pylist()], pa.string())


def number_text(value: Any) -> str | None:
    """A label's name.

    Examples:
        >>> number_text(3.0), number_text(0.5), number_text(True), number_text(None)
        ('3', '0.5', 'true', None)
    """
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def is_utf8(column: Any) -> bool:
    """Whether bytes are texts: none is an image and all can be decoded."""
    head = column.drop_null().slice(0, 8).to_pylist()
    if any(each.startswith(_IMAGES) for each in head):
        return False
    try:
        pc.cast(column, pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def image_shape(data: bytes | None) -> tuple[int, int, int] | None:
    """Height, width and channels (1 or 3) from an image's first bytes; None if it is none."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data or b"")) as image:
            return image.height, image.width, 1 if image.mode in ("1", "L", "I", "I;16", "F") else 3
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def image(data: bytes | None, shape: tuple[int, ...]) -> Array | None:
    """The pixels `[height, width, channels] uint8`, scaled to that size; None where the file is damaged."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data or b"")) as opened:
            upright = opened.convert("L" if shape[2] == 1 else "RGB")
            if upright.size != (shape[1], shape[0]):
                upright = upright.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
            return np.asarray(upright, np.uint8).reshape(shape)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
