"""Inputs as people can look at them: images as inline PNG, anything else as its first numbers."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np

from skylift.artifacts.texts import text_of
from training.contract import Array, Split, Task

VALUES = 8


def is_picture(task: Task) -> bool:
    """Whether rows are images `[height, width]` or `[height, width, 1, 3 or 4]`."""
    shape = task.inputs[0].shape
    return task.input_kind == "image" and (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4)))


def picture(split: Split, task: Task, row: int) -> str:
    """The row's image as a `data:` URL. Values up to 1 count as shares of full brightness, else as 0 to 255."""
    from PIL import Image

    pixels = _first(split, task, row).astype(np.float32)
    if pixels.max(initial=0.0) <= 1.0:
        pixels = pixels * 255
    bytes_of = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(bytes_of.squeeze(-1) if bytes_of.shape[-1:] == (1,) else bytes_of).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def numbers(split: Split, task: Task, row: int) -> str:
    """The row's first values, with the names of their columns where the task has them; of a text's bytes, the text."""
    values = _first(split, task, row).reshape(-1)
    if task.input_kind == "text" and values.dtype == np.uint8:
        return text_of(values.tobytes())
    names = task.input_names if len(task.input_names) == len(values) else ()
    shown = [f"{value:.4g}" for value in values[:VALUES].astype(float)]
    texts = [f"{name} {value}" for name, value in zip(names, shown, strict=False)] or shown
    return ", ".join(texts) + (" …" if len(values) > VALUES else "")


def _first(split: Split, task: Task, row: int) -> Array:
    x = split.x[task.inputs[0].name] if isinstance(split.x, Mapping) else split.x
    return np.asarray(x[row])
