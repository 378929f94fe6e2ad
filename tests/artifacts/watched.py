"""A store that notes what is asked of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from skylift.store import Blob, Stat, Store, Token


class Watched(Store):
    """Counts requests for single objects by key, and the bytes that went each way."""

    def __init__(self, of: Store) -> None:
        super().__init__(of.url, of._raw, of.folder)
        self.asked: list[str] = []
        self.uploaded: list[str] = []
        self.copied: list[str] = []
        self.bytes_down = 0
        self._noting = threading.Lock()

    def _get(self, key: str, read: Token | None) -> Blob | None:
        self.asked.append(key)
        return super()._get(key, read)

    def stat(self, key: str) -> Stat | None:
        self.asked.append(key)
        return super().stat(key)

    def _range(self, key: str, start: int, length: int, read: Token | None) -> tuple[bytes, Token]:
        piece, token = super()._range(key, start, length, read)
        with self._noting:
            self.bytes_down += len(piece)
        return piece, token

    def upload(self, path: Path, key: str, **options: Any) -> Token:
        self.uploaded.append(key)
        return super().upload(path, key, **options)

    def copy(self, source: str, target: str) -> None:
        self.copied.append(target)
        super().copy(source, target)
