"""Pictures as rows of an image model: the pixels that `skylift predict` would send, or the file itself where the model decodes it."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from serving.backends.base import Array
from serving.media.errors import MediaError
from serving.media.facts import VersionFacts, all_said, check_shape, said
from serving.signature import Tensor
from skylift.artifacts import pictures

TYPES = {b"image/png": "PNG", b"image/jpeg": "JPEG", b"image/webp": "WEBP"}
_BODY_SHARE = 8
_TAKEN = frozenset({"float16", "float32", "float64", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"})
"""Types that hold 0 to 255. A model of int8 has a scale of its own, which nobody tells us."""


def takes(facts: VersionFacts) -> bool:
    """Whether pictures can be sent to a version."""
    tensor = facts.only_input
    return tensor is not None and (_is_pixels(tensor, facts) or _is_file(tensor))


def decode(files: Sequence[bytes], facts: VersionFacts) -> dict[str, Array]:
    """One row a picture. Upright, scaled to the model's size, 0 to 255; what is transparent is white. 2 to 300 ms each.

    A model whose only input is one string a row gets the files as they are.

    Raises:
        MediaError: 415 where the model takes no pictures; what is wrong with one, by its number where there are several.
    """
    tensor = facts.only_input
    if tensor is None or not takes(facts):
        raise MediaError(f"this model takes no pictures, it takes {all_said(facts)}", status=415)
    if tensor.dtype == "string":
        texts = np.empty(len(files), dtype=object)
        texts[:] = files
        return {tensor.name: texts.reshape(len(files), *(1 for _ in (tensor.shape or ())[1:]))}
    rows = _rows(files, tensor, facts)
    if len({row.shape for row in rows}) > 1:
        raise MediaError(
            f"the pictures differ in size and {said(tensor)} is of any: send them in requests of their own"
        )
    stacked = (np.stack(rows) if len(rows) > 1 else rows[0][None]).astype(tensor.dtype)
    check_shape(tensor, stacked.shape)
    return {tensor.name: stacked}


def _is_pixels(tensor: Tensor, facts: VersionFacts) -> bool:
    shape = tensor.shape
    if shape is None or len(shape) != 4 or shape[0] not in (None, 1) or 0 in shape or tensor.dtype not in _TAKEN:
        return False
    # A model that was made elsewhere does not say what it takes: its shape does, as for `skylift predict`.
    return shape[3] in pictures.CHANNELS and facts.task.input_kind in ("image", "tensor")


def _is_file(tensor: Tensor) -> bool:
    return tensor.dtype == "string" and tensor.shape in ((None,), (None, 1), (None, None))


def _rows(files: Sequence[bytes], tensor: Tensor, facts: VersionFacts) -> list[npt.NDArray[np.uint8]]:
    limits = facts.limits
    rows, pixels, size = [], _BODY_SHARE * limits.pixels, 0
    for index, file in enumerate(files):
        whose = "the picture" if len(files) == 1 else f"picture {index + 1}"
        picture = _read(whose, file, tensor, min(pixels, limits.pixels))
        pixels -= picture.source_pixels
        size += picture.pixels.size * np.dtype(tensor.dtype).itemsize
        if size > limits.decoded_bytes:
            raise MediaError(f"{whose} makes rows of more than {limits.decoded_bytes} bytes: scale it down", status=413)
        rows.append(picture.pixels)
    return rows


def _read(whose: str, file: bytes, tensor: Tensor, most: int) -> pictures.Picture:
    try:
        return pictures.read(io.BytesIO(file), (tensor.shape or ())[1:], formats=tuple(TYPES.values()), max_pixels=most)
    except pictures.TooManyPixelsError as error:
        raise MediaError(f"{whose} is too large: {error.reason}; scale it down", status=413) from None
    except pictures.PictureError as error:
        reason = f": {error.reason[:200]}" if error.reason else ": it is no PNG, JPEG or WebP file"
        raise MediaError(f"{whose} cannot be read{reason}") from None
