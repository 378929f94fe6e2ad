"""Protobuf's packed numbers of variable length, many at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_SHIFTS = np.arange(10, dtype=np.uint64) * np.uint64(7)
_LEAST = np.array([1 << (7 * count) for count in range(1, 10)], dtype=np.uint64)
_AT_ONCE = 1 << 16
"""Numbers written together: 80 bytes of working memory each."""


def decode(packed: bytes) -> npt.NDArray[np.uint64]:
    """The numbers of a packed field, as the 64 bits that they were written from.

    Raises:
        ValueError: no such numbers.
    """
    raw = np.frombuffer(packed, np.uint8)
    is_last = raw < 0x80
    if is_last.all():
        return raw.astype(np.uint64)
    if not is_last[-1]:
        raise ValueError("the last number is cut off")
    ends = np.flatnonzero(is_last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 10:
        raise ValueError("a number of more than 10 bytes")
    places = np.arange(len(raw)) - np.repeat(starts, lengths)
    parts = (raw & 0x7F).astype(np.uint64) << (places.astype(np.uint64) * np.uint64(7))
    decoded: npt.NDArray[np.uint64] = np.bitwise_or.reduceat(parts, starts)
    return decoded


def encode(values: npt.NDArray[Any]) -> bytes:
    """A packed field of integers or booleans; negative ones take 10 bytes, as protobuf has it."""
    flat = values.ravel()
    wide = flat.astype(np.int64).view(np.uint64) if flat.dtype.kind in "ib" else flat.astype(np.uint64)
    if not len(wide) or wide.max() < 0x80:
        return wide.astype(np.uint8).tobytes()
    return b"".join(_encode(wide[start : start + _AT_ONCE]) for start in range(0, len(wide), _AT_ONCE))


def _encode(wide: npt.NDArray[np.uint64]) -> bytes:
    lengths = np.searchsorted(_LEAST, wide, side="right") + 1
    parts = ((wide[:, None] >> _SHIFTS) & np.uint64(0x7F)).astype(np.uint8)
    places = np.arange(10)
    parts[places < (lengths - 1)[:, None]] |= 0x80
    return parts[places < lengths[:, None]].tobytes()
