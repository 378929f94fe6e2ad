"""Where lines of a log go."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
from collections.abc import Iterator

from skylift.errors import InputError


class Sink:
    """stderr or a file, for whole lines. Several processes may write to the same place at once, none into another's line.

    Args:
        where: `stderr`, or a path.

    Raises:
        InputError: the file cannot be written.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._file = self._open()
        self._is_cut = False

    def _open(self) -> int:
        if self._where == "stderr":
            return sys.stderr.fileno()
        try:
            return os.open(self._where, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise InputError(
                f"the access log {self._where} cannot be written: {error.strerror}",
                hint="name a file in a folder that this user may write to, or `stderr`",
            ) from None

    def reopen(self) -> None:
        if self._where == "stderr":
            return
        with contextlib.suppress(InputError):  # the old file is still better than none
            new = self._open()
            os.close(self._file)
            self._file = new
            self._is_cut = False

    def close(self) -> None:
        if self._where != "stderr":
            os.close(self._file)

    def write(self, lines: list[bytes]) -> int:
        """Write whole lines; how many could not be written."""
        lost = 0
        for chunk in self._chunks(lines):
            raw = b"".join(chunk)
            if self._is_cut:
                raw = b"\n" + raw  # ends the line of which only a part went out
            try:
                self._write_all(raw)
                self._is_cut = False
            except OSError:
                lost += len(chunk)
        return lost

    def _chunks(self, lines: list[bytes]) -> Iterator[list[bytes]]:
        """What goes out in one write. A pipe takes no more than PIPE_BUF without mixing it with what others write."""
        if not lines:
            return
        if not stat.S_ISFIFO(os.fstat(self._file).st_mode):
            yield lines
            return
        chunk: list[bytes] = []
        size = 0
        for line in lines:
            if chunk and size + len(line) >= select.PIPE_BUF:
                yield chunk
                chunk, size = [], 0
            chunk.append(line)
            size += len(line)
        yield chunk

    def _write_all(self, raw: bytes) -> None:
        left = memoryview(raw)
        while left:
            try:
                sent = os.write(self._file, left)
            except BlockingIOError:  # somebody made the shared stderr non-blocking
                select.select([], [self._file], [], 1.0)
                continue
            self._is_cut = sent < len(left)
            left = left[sent:]
