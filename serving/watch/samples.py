"""Keeps a share of the requests in the work bucket: samples/<endpoint>/<date>/<replica>-<worker>-<seq>.jsonl, one JSON object a line.

Which requests, and what of them, the options say. The event loop copies what was chosen; a thread redacts, encodes and writes it, at the
latest after a minute. A bucket that cannot be written to costs samples, never a request: what waits is bounded, and counted when dropped.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from serving import log
from serving.backends.base import Array
from serving.calls import Call
from serving.watch.checks import of_samples, refuse
from serving.watch.options import SampleOptions
from serving.watch.redaction import Redactor
from serving.watch.sample_buffers import CHUNK_SECONDS, WAITING_BYTES, Budget, Chunk, first_rows, size_of
from serving.watch.status_names import is_success
from skylift.artifacts import layout
from skylift.errors import ConflictError, SkyliftError

SCHEMA = 1

Count = Callable[[str, int], None]
Create = Callable[[str, bytes], object]


class Sample(msgspec.Struct, kw_only=True):
    """One line. `rows` are those of the request; `inputs` and `outputs` hold the first of them, redacted."""

    schema: int = SCHEMA
    at: str
    request_id: str
    protocol: str
    api: str
    model: str
    version: int
    deployment: int | None
    canary: bool
    signature: str
    rows: int
    ms: float
    inputs: dict[str, Any]
    outputs: dict[str, Any]


class _Taken:
    """What was copied of a call."""

    __slots__ = ("at", "bytes", "facts", "inputs", "outputs")

    def __init__(self, call: Call, inputs: dict[str, Array], outputs: dict[str, Array], size: int) -> None:
        self.at = time.time()
        self.inputs = inputs
        self.outputs = outputs
        self.bytes = size
        self.facts: dict[str, Any] = {
            "request_id": call.request_id,
            "protocol": call.protocol,
            "api": call.api,
            "model": call.model,
            "version": call.version,
            "deployment": call.deployment,
            "canary": call.is_canary,
            "signature": call.signature,
            "rows": call.rows,
            "ms": int((call.answered - call.arrived) * 1e6) / 1e3,
        }


class Sampler:
    """Chooses, redacts and writes. One per worker process.

    Args:
        create: makes an object of the work bucket, by key and bytes.
        key: the secret of hashes.
        worker: this process among the replica's.
        count: is told of samples by what became of them: `stored`, `over_limit`, `dropped`. From any thread.

    Raises:
        InputError: an option is out of its range, or a rule cannot be kept.
    """

    def __init__(
        self, options: SampleOptions, create: Create, count: Count, *, key: bytes = b"", worker: int = 0
    ) -> None:
        refuse(of_samples(options))
        self._options = options
        self._create_object = create
        self._count = count
        self._redactor = Redactor(options.redact, key)
        self._budget = Budget(options.per_minute, options.bytes_per_minute)
        self._replica = options.replica or "replica"
        self._worker = worker
        self._day: date | None = None
        self._seq = 0
        self._waiting: deque[_Taken] = deque()
        self._taken = 0
        self._done = 0
        self._chunk = Chunk()
        self._problem = ""
        self._is_due = threading.Event()
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="samples", daemon=True)
        self._thread.start()

    def observe(self, call: Call) -> None:
        """Keep a request if it is chosen. Called from the event loop's thread."""
        if random.random() >= self._options.rate or call.inputs is None or call.outputs is None:  # noqa: S311
            return
        if not is_success(call.protocol, call.status):
            return
        first = slice(0, self._options.rows)
        chosen = [first_rows(tensors, call.rows, first) for tensors in (call.inputs, call.outputs)]
        size = sum(size_of(value) for part in chosen for value in part.values())
        if not self._budget.allows(time.monotonic(), size):
            self._count("over_limit", 1)
        elif self._taken - self._done + size > WAITING_BYTES:
            self._count("dropped", 1)
        else:
            inputs, outputs = ({name: value.copy() for name, value in part.items()} for part in chosen)
            self._taken += size
            self._waiting.append(_Taken(call, inputs, outputs, size))
            if not self._is_due.is_set():
                self._is_due.set()

    def close(self, seconds: float = 5.0) -> None:
        """Write what is left, as far as that goes within the time."""
        self._is_closing.set()
        self._is_due.set()
        self._thread.join(seconds)

    # the thread

    def _work(self) -> None:
        while not self._is_closing.is_set():
            self._is_due.wait(timeout=None if not self._chunk.lines else CHUNK_SECONDS)
            self._is_closing.wait(1.0)
            self._is_due.clear()
            self._encode()
            if self._chunk.is_full(time.monotonic()):
                self._write()
        self._encode()
        self._write()
        if self._chunk.lines:
            self._count("dropped", len(self._chunk.lines))

    def _encode(self) -> None:
        while self._waiting:
            taken = self._waiting.popleft()
            self._done += taken.bytes
            try:
                line = self._line(taken)
            except Exception as error:  # an odd tensor must not end the thread
                self._tell(error)
                self._count("dropped", 1)
                continue
            dropped = self._chunk.add(line, time.monotonic())
            if dropped:
                self._count("dropped", dropped)

    def _line(self, taken: _Taken) -> bytes:
        at = datetime.fromtimestamp(taken.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        inputs, outputs = self._redactor.of(taken.inputs), self._redactor.of(taken.outputs)
        return msgspec.json.encode(Sample(at=at, inputs=inputs, outputs=outputs, **taken.facts))

    def _write(self) -> None:
        lines = self._chunk.lines
        if not lines:
            return
        raw = b"\n".join(lines) + b"\n"
        try:
            self._create(raw)
        except Exception as error:  # whatever a bucket does, the thread goes on
            self._tell(error)
            self._chunk.begin_again(time.monotonic())
            return
        self._problem = ""
        self._count("stored", len(lines))
        self._chunk = Chunk()

    def _create(self, raw: bytes) -> None:
        """Under a number that grows with the time of day: another process in this one's place begins behind it."""
        moment = datetime.now(UTC)
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        seq = int((moment - midnight).total_seconds() * 1000)
        self._seq = seq if moment.date() != self._day else max(seq, self._seq + 1)
        self._day = moment.date()
        while True:
            key = layout.sample_chunk(self._options.endpoint, self._day, self._replica, self._worker, self._seq)
            try:
                self._create_object(key, raw)
                return
            except ConflictError:
                self._seq += 1

    def _tell(self, error: Exception) -> None:
        message = error.message if isinstance(error, SkyliftError) else f"{type(error).__name__}: {error}"
        if message != self._problem:
            self._problem = message
            log.event("samples_not_written", message=message, hint=getattr(error, "hint", ""))
