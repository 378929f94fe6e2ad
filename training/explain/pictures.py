"""Explanations as pictures: what speaks for in orange, what speaks against in blue, over the image in grey; bars of anything else."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from skylift.errors import InputError
from training.contract import Array, Task
from training.explain.explaining import Explained
from training.explain.features import is_picture
from training.explain.result import Explanation, Part

FOR, AGAINST = (224, 104, 16), (40, 104, 210)
SIDE = 280
"""About how many pixels wide an image is shown."""
CLIPPED = 99.5
"""The percentile of shares that gets the full colour: one extreme pixel does not pale all others."""
WIDTH, ROW, NAMES = 720, 24, 240


def original(task: Task, found: Explained) -> Array | None:
    """The image that was explained, `[height, width, 3] uint8`; None where the input is none."""
    if found.rows is None:
        return None
    row = found.rows[task.inputs[0].name][0]
    if not is_picture(task, row):
        return None
    pixels = row.astype(np.float32)
    pixels = pixels * 255 if pixels.max(initial=0.0) <= 1 else pixels
    flat = pixels if pixels.ndim == 3 else pixels[..., None]
    colours = np.repeat(flat[..., :1], 3, axis=2) if flat.shape[2] < 3 else flat[..., :3]
    seen: Array = np.clip(np.rint(colours), 0, 255).astype(np.uint8)
    return seen


def overlay(image: Array, shares: Array) -> Array:
    """The image in grey, coloured by the sign and size of each pixel's share."""
    grey = image.mean(axis=2, keepdims=True) * 0.45 + 70
    size = np.abs(shares)
    most = float(np.percentile(size[size > 0], CLIPPED)) if (size > 0).any() else 1.0
    strength = np.clip(size / most, 0, 1)[..., None] ** 0.7 * 0.95
    colour = np.where(shares[..., None] >= 0, np.array(FOR), np.array(AGAINST))
    mixed: Array = np.rint(grey * (1 - strength) + colour * strength).astype(np.uint8)
    return mixed


def data_url(image: Array) -> str:
    """A PNG for a page."""
    return "data:image/png;base64," + base64.b64encode(_png(_enlarged(image))).decode()


def png(task: Task, found: Explained, top: int) -> bytes:
    """All explanations below each other as one picture.

    Raises:
        InputError: there is nothing to draw.
    """
    image = original(task, found)
    strips = [_strip(image, each, top) for _, each in found.given]
    if not strips:
        raise InputError("there is nothing to draw")
    from PIL import Image

    width = max(strip.width for strip in strips)
    whole = Image.new("RGB", (width, sum(strip.height for strip in strips)), "white")
    at = 0
    for strip in strips:
        whole.paste(strip, (0, at))
        at += strip.height
    out = io.BytesIO()
    whole.save(out, "PNG")
    return out.getvalue()


def largest(parts: Sequence[Part], top: int) -> list[Part]:
    """The parts with the greatest shares, greatest first."""
    return sorted(parts, key=lambda part: -abs(part.share))[:top]


def _strip(image: Array | None, found: Explanation, top: int) -> Any:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=15)
    shown = list(found.parts) if len(found.parts) <= top else largest(found.parts, top)
    pictures = [] if image is None or found.map is None else [image, overlay(image, found.map)]
    sides = [_enlarged(each) for each in pictures]
    height = 44 + (max(each.height for each in sides) + 40 if sides else ROW * len(shown) + 16)
    strip = Image.new("RGB", (max(WIDTH, 16 + sum(each.width + 16 for each in sides)), height), "white")
    draw = ImageDraw.Draw(strip)
    draw.text((16, 12), f"{found.method}: {found.explained}", "black", font)
    at = 16
    for side in sides:
        strip.paste(side, (at, 44))
        at += side.width + 16
    if sides:
        draw.text((16, height - 32), "orange: speaks for it", FOR, font)
        draw.text((200, height - 32), "" if found.method == "grad-cam" else "blue: speaks against it", AGAINST, font)
    else:
        _bars(draw, font, shown)
    return strip


def _bars(draw: Any, font: Any, parts: Sequence[Part]) -> None:
    most = max((abs(part.share) for part in parts), default=0.0) or 1.0
    middle, room = NAMES + (WIDTH - NAMES - 90) / 2, (WIDTH - NAMES - 110) / 2
    for number, part in enumerate(parts):
        up = 44 + number * ROW
        length = part.share / most * room
        left, right = sorted((middle, middle + length))
        draw.rectangle((left, up + 4, right, up + ROW - 5), FOR if part.share >= 0 else AGAINST)
        draw.text((16, up + 2), part.name[:30], "black", font)
        draw.text((WIDTH - 88, up + 2), f"{part.share:+.3g}", "black", font)


def _enlarged(image: Array) -> Any:
    from PIL import Image

    factor = max(1, SIDE // max(image.shape[:2]))
    made = Image.fromarray(image)
    return made.resize((made.width * factor, made.height * factor), Image.Resampling.NEAREST)


def _png(image: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
