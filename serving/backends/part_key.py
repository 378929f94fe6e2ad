"""The key that servers of remote parts are shown: from a file, which may change, or from the environment. Never from a command line."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from skylift.errors import InputError

VARIABLE = "SKYLIFT_API_KEY"
LOOK_SECONDS = 5.0
"""Between two looks whether the file has changed."""

Headers = Callable[[], Mapping[str, str]]


def headers_of(path: str) -> Headers:
    """What is sent with every request to a remote part: `Authorization`, or nothing where there is no key.

    Args:
        path: of the file; empty for the environment's SKYLIFT_API_KEY.

    Raises:
        InputError: the file cannot be read, is empty, or holds more than a key.
    """
    if path:
        return _OfFile(Path(path))
    key = os.environ.get(VARIABLE, "").strip()
    told = _authorization(key, VARIABLE) if key else {}
    return lambda: told


class _OfFile:
    """Looks again when asked, now and then: a key is rotated by writing another one. While the file cannot be read the last one holds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = self._read()
        self._looked = time.monotonic()

    def __call__(self) -> Mapping[str, str]:
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked = now
            with contextlib.suppress(InputError):
                self._told = self._read()
        return self._told

    def _read(self) -> Mapping[str, str]:
        try:
            key = self._path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise InputError(
                f"the key in {self._path} cannot be read: {why}", hint="--part-key-file names it"
            ) from None
        return _authorization(key, str(self._path))


def _authorization(key: str, where: str) -> Mapping[str, str]:
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise InputError(f"{where} holds no API key", hint="it must hold one key alone, as `skylift keys` shows it")
    return {"Authorization": f"Bearer {key}"}
