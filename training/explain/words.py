"""A text's shares by byte, added up to characters and words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.contract import Array
from training.explain.result import Part


def characters(row: Array) -> list[tuple[str, slice]]:
    """The characters of a row of UTF-8 bytes with their places; a byte that is none stands for itself. The zeros behind are left out."""
    raw = row.astype(np.uint8).tobytes().rstrip(b"\0")
    found, at = [], 0
    while at < len(raw):
        for length in (1, 2, 3, 4):
            try:
                text = raw[at : at + length].decode()
            except UnicodeDecodeError:
                continue
            break
        else:
            text, length = f"\\x{raw[at]:02x}", 1
        found.append((text, slice(at, at + length)))
        at += length
    return found


def words(row: Array, shares: Array) -> tuple[Part, ...]:
    """A part for each word, with its characters; a space belongs to the word before it. What lies behind the text comes last, if it
    has a share at all."""
    found: list[list[Part]] = []
    spaced = True
    for text, place in characters(row):
        one = Part(text, float(shares[place].sum()))
        if not text.isspace() and spaced:
            found.append([one])
        elif found:
            found[-1].append(one)
        else:
            found.append([one])
        spaced = text.isspace()
    parts = [_word(each) for each in found]
    behind = float(shares[sum(place.stop - place.start for _, place in characters(row)) :].sum())
    if abs(behind) > 1e-9:
        parts.append(Part("(behind the text)", behind))
    return tuple(parts)


def _word(inner: Sequence[Part]) -> Part:
    text = "".join(each.name for each in inner).strip() or "(space)"
    return Part(text, sum(each.share for each in inner), inner=tuple(inner))
