"""Logs and events: bytes that grow, as numbered objects that a follower can tail."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from skylift.store import ObjectExistsError, ObjectNotFoundError, Store, Token

CHUNK_LIMIT = 256 * 1024
"""Bytes after which a chunk is left alone and the next one begins."""


class ChunkWriter:
    """Appends to `<folder>/<number><suffix>`. Starts behind what is there, so that a resumed run goes on; safe between threads.

    What could not be written stays in memory and goes with the next `flush`.
    """

    def __init__(self, store: Store, folder: str, suffix: str = "") -> None:
        self._store = store
        self._folder = folder
        self._suffix = suffix
        self._lock = threading.Lock()
        self._number = max((_number(stat.key) for stat in store.names(folder)), default=-1) + 1
        self._is_ours = False
        self._chunk = bytearray()
        self._written = 0

    def write(self, piece: bytes) -> None:
        """Take bytes; goes to the store only when a chunk is full."""
        with self._lock:
            self._chunk += piece
            if len(self._chunk) >= CHUNK_LIMIT:
                self._flush()

    def flush(self) -> None:
        """Bring what is new to the store; nothing where nothing is."""
        with self._lock:
            self._flush()

    def close(self) -> None:
        self.flush()

    def _flush(self) -> None:
        while len(self._chunk) > self._written:
            whole = bytes(self._chunk[:CHUNK_LIMIT])
            self._put(whole)
            self._written = len(whole)
            if len(whole) == CHUNK_LIMIT:
                del self._chunk[:CHUNK_LIMIT]
                self._number, self._is_ours, self._written = self._number + 1, False, 0

    def _put(self, whole: bytes) -> None:
        """The first write of a chunk is create-only: a writer that was thought dead keeps what it wrote."""
        while not self._is_ours:
            try:
                self._store.create(self._key(), whole)
            except ObjectExistsError:
                self._number += 1
            else:
                self._is_ours = True
                return
        self._store.put(self._key(), whole)

    def _key(self) -> str:
        return f"{self._folder}/{self._number:08d}{self._suffix}"


class ChunkReader:
    """Reads what a ChunkWriter appends, each byte once, in order. A byte that is there is never waited for."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._key: str | None = None
        self._token: Token | None = None
        self._taken = 0

    def read(self) -> bytes:
        """All that is new since the last read."""
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """The same, chunk by chunk, for logs that should not be in memory at once."""
        if self._key is None:
            first = next((stat.key for stat in self._store.names(self._folder)), None)
            if first is None:
                return
            self._key = first
        while True:
            yield from self._news(self._key)
            following = _next(self._key)
            if not self._begun(following):
                return
            yield from self._news(self._key)  # its last bytes may have come between the two looks
            self._key, self._token, self._taken = following, None, 0

    def _begun(self, key: str) -> bool:
        return self._store.stat(key) is not None

    def _news(self, key: str) -> Iterator[bytes]:
        try:
            blob = self._store.get_if_changed(key, self._token)
        except ObjectNotFoundError:  # expired while it was followed
            return
        if blob is None:
            return
        self._token = blob.token
        fresh = blob.data[self._taken :]
        if fresh:
            self._taken = len(blob.data)
            yield fresh


def _number(key: str) -> int:
    stem = key.rpartition("/")[2].partition(".")[0]
    return int(stem) if stem.isdecimal() else -1


def _next(key: str) -> str:
    folder, _, name = key.rpartition("/")
    stem, dot, suffix = name.partition(".")
    return f"{folder}/{int(stem) + 1:08d}{dot}{suffix}"
