"""Carries what the training process prints to the run's log and to our own standard output, without the secrets."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time

from skylift.artifacts.chunks import ChunkWriter
from skylift.errors import SkyliftError
from training.run.masking import Masker

FLUSH_SECONDS = 1.0
READ = 64 * 1024


class OutputPump(threading.Thread):
    """Reads a pipe to its end. A log that cannot be written stops nothing: the output still appears here, and `trouble` says why."""

    def __init__(self, descriptor: int, log: ChunkWriter, masker: Masker) -> None:
        super().__init__(name="output", daemon=True)
        self.trouble: SkyliftError | None = None
        self._descriptor = descriptor
        self._log = log
        self._masker = masker
        self._flushed = 0.0

    def run(self) -> None:
        try:
            while piece := os.read(self._descriptor, READ):
                self._emit(self._masker.feed(piece))
        finally:
            os.close(self._descriptor)
            self._emit(self._masker.end())
            self.flush()

    def say(self, line: str) -> None:
        """A line of the supervisor's own."""
        self._emit(self._masker.text(line).encode() + b"\n")

    def flush(self) -> None:
        """Bring what is new to the log; called once a second from outside too, for a process that falls silent."""
        self._flushed = time.monotonic()
        try:
            self._log.flush()
        except SkyliftError as error:
            self._complain(error)

    def _emit(self, piece: bytes) -> None:
        if not piece:
            return
        with contextlib.suppress(OSError, ValueError):  # whoever read our output is gone: the log goes on
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        try:
            self._log.write(piece)
        except SkyliftError as error:
            self._complain(error)
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def _complain(self, error: SkyliftError) -> None:
        if self.trouble is None:
            with contextlib.suppress(OSError, ValueError):
                print(f"the log cannot be written: {error.message}", file=sys.stderr, flush=True)
        self.trouble = error
