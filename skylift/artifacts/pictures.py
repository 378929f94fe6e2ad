"""A picture as the pixels that a model of images takes: the same on the asking side and on the answering side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

CHANNELS = (1, 3)
"""Grey and colours: what the last dimension of an image model's input may be."""


class PictureError(ValueError):
    """It is no picture that can be read; `reason` may be empty."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TooManyPixelsError(PictureError):
    """Refused by the size that its head names, before a pixel was decoded."""


@dataclass(frozen=True)
class Picture:
    """Pixels 0 to 255 as `[height, width, channels]` uint8, and what was done for that."""

    pixels: npt.NDArray[np.uint8]
    source_pixels: int
    """How many the picture had before it was scaled."""
    notes: tuple[str, ...] = ()


def read(
    source: Path | IO[bytes],
    shape: Sequence[int | None],
    *,
    formats: tuple[str, ...] | None = None,
    max_pixels: int | None = None,
) -> Picture:
    """A picture upright, in the model's size and channels. Needs about ten bytes a pixel while it works.

    Args:
        shape: `[height, width, channels]`; None keeps the picture's own. Channels are of `CHANNELS`.
        formats: Pillow's names of those that may be read; None for all it knows.
        max_pixels: of the picture before it is scaled; None for Pillow's own limit.

    Raises:
        TooManyPixelsError: more than `max_pixels`.
        PictureError: the file cannot be read as a picture.
    """
    from PIL import Image

    image, notes = _opened(source, "L" if shape[2] == 1 else "RGB", formats, max_pixels)
    source_pixels = image.width * image.height
    height, width = shape[0] or image.height, shape[1] or image.width
    if (image.width, image.height) != (width, height):
        notes.append(f"scaled from {image.width}x{image.height} to {width}x{height}")
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, dtype=np.uint8).reshape(height, width, int(shape[2] or 0))
    return Picture(pixels, source_pixels, tuple(notes))


def _opened(
    source: Path | IO[bytes], mode: str, formats: tuple[str, ...] | None, max_pixels: int | None
) -> tuple[Any, list[str]]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(source, formats=formats) as opened:
            if max_pixels is not None and opened.width * opened.height > max_pixels:
                raise TooManyPixelsError(f"it has {opened.width}x{opened.height} pixels, at most {max_pixels} are read")
            return _plain(opened, mode)
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError("") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixelsError(str(error)) from None
    except Exception as error:
        # Pillow's readers raise whatever damaged bytes lead them to: struct.error, IndexError, …
        raise PictureError(str(error) or type(error).__name__) from None


def _plain(opened: Any, mode: str) -> tuple[Any, list[str]]:
    """The picture in grey or in colours, upright, and what was done for that."""
    from PIL import Image, ImageOps

    notes = []
    image = ImageOps.exif_transpose(opened)
    if image.mode.startswith("I"):  # 16 bits: PIL's own conversion cuts off at 255
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        notes.append("what is transparent was taken for white")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode), notes
