"""What is known of versions that do not answer."""

from __future__ import annotations

import msgspec

from serving.interface import State


class VersionNote(msgspec.Struct, frozen=True, kw_only=True):
    """A version in TensorFlow Serving's words: its state, and the error that ended it, its code by name."""

    name: str
    version: int
    state: State
    error_code: str = "OK"
    error_message: str = ""
