"""What is known of versions that do not answer."""

from __future__ import annotations

from typing import Literal

import msgspec

from skylift.artifacts.records import ModelRef

VersionState = Literal["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]


class VersionNote(msgspec.Struct, frozen=True, kw_only=True):
    """A version in TensorFlow Serving's words: its state, and the error that ended it."""

    model: ModelRef
    state: VersionState
    error_code: str = "OK"
    error_message: str = ""
