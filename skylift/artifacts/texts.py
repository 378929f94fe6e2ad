"""A text as the row of numbers that a model of `input_kind` text takes: the same on the training side and on the asking side."""

from __future__ import annotations

import unicodedata


def row_of(text: str, length: int) -> bytes:
    """The text's UTF-8 bytes, zeros behind; cut off behind the last whole character that fits.

    Space around it goes, and characters come in Unicode's normal form C: what looks the same is the same row.

    Args:
        length: bytes of a row.
    """
    return _whole(text)[:length].decode("utf-8", "ignore").encode().ljust(length, b"\0")


def fits(text: str, length: int) -> bool:
    """Whether nothing is cut off."""
    return len(_whole(text)) <= length


def text_of(row: bytes) -> str:
    """The text again, as far as the row held it."""
    return row.rstrip(b"\0").decode("utf-8", "replace")


def _whole(text: str) -> bytes:
    return unicodedata.normalize("NFC", text.strip()).replace("\0", " ").encode("utf-8", "replace")
