"""One JSON line per request, on stderr or in a file. Never a key and nothing of a body: see `masked`.

The event loop only makes the line; a thread of its own writes what has gathered every 50 ms, so that a slow disk or a reader that
stands still holds no request up. What cannot be written is dropped and counted.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec

from serving import log
from serving.calls import Call
from serving.http.status import http_status
from serving.watch.sinks import Sink
from serving.watch.status_names import is_success

FLUSH_SECONDS = 0.05
MOST_BYTES = 8 * 1024 * 1024
"""Held while they cannot be written."""
LONGEST_ERROR = 200
MOST_ERROR = 4096
_VALUE = re.compile(
    r"(JSON (?:Value|object): )(?!does not have).*?( Type: \w+ is not of expected type: \w+)?$", re.DOTALL
)
_QUOTED = re.compile(r'"[^"]*"')


class _Phases(msgspec.Struct, omit_defaults=True, gc=False):
    """Milliseconds."""

    total: float
    parse: float = 0.0
    queue: float = 0.0
    batch: float = 0.0
    run: float = 0.0
    write: float = 0.0


class _Line(msgspec.Struct, gc=False):
    at: str
    request_id: str
    client: str
    protocol: str
    api: str
    model: str
    version: int
    deployment: int | None
    canary: bool
    signature: str
    status: int
    rows: int
    batch_rows: int
    request_bytes: int
    response_bytes: int
    ms: _Phases
    principal: str
    error: str


def masked(error: str) -> str:
    """An error as the client was told it, without what it quotes of the body: values behind `JSON Value:` and whatever stands between
    double quotes. At most LONGEST_ERROR characters. What a model's own code says of its input is written as it is.
    """
    error = error[:MOST_ERROR]
    if "JSON " in error:
        error = _VALUE.sub(r"\1…\2", error)
    if '"' in error:
        error = _QUOTED.sub('"…"', error)
    return error if len(error) <= LONGEST_ERROR else error[:LONGEST_ERROR] + "…"


class AccessLog:
    """Writes lines until `close`.

    Args:
        where: `stderr`, or a path; what a file holds already stays.
        rate: share of the successful requests that are written, 0 to 1; of the others all are.
        dropped: is told how many lines were lost, from any thread.

    Raises:
        InputError: the file cannot be written.
    """

    def __init__(self, where: str, rate: float = 1.0, dropped: Callable[[int], None] = lambda _: None) -> None:
        self._sink = Sink(where)
        self._rate = rate
        self._dropped = dropped
        self._lines: deque[bytes] = deque()
        self._made = 0
        self._taken = 0
        self._encode = msgspec.json.Encoder().encode
        self._second = 0
        self._text = ""
        self._offset = 0.0
        self._is_due = threading.Event()
        self._is_closing = threading.Event()
        self._is_reopening = False
        self._thread = threading.Thread(target=self._work, name="access-log", daemon=True)
        self._thread.start()

    def write(self, call: Call) -> None:
        """Make the line of a request. Called from the event loop's thread only."""
        if self._rate < 1.0 and is_success(call.protocol, call.status) and random.random() >= self._rate:  # noqa: S311
            return
        if self._made - self._taken > MOST_BYTES:
            self._dropped(1)
            return
        line = self._line(call)
        if log.is_google():
            severity = b"ERROR" if http_status(call.status) >= 500 else b"INFO"
            line = b'{"severity":"%b","message":"request",%b' % (severity, line[1:])
        self._made += len(line)
        self._lines.append(line)
        if not self._is_due.is_set():
            self._is_due.set()

    def reopen(self) -> None:
        """Go on in a new file of the same name: the old one was moved away."""
        self._is_reopening = True
        self._is_due.set()

    def close(self, seconds: float = 2.0) -> None:
        """Write what is left, as far as that goes within the time."""
        self._is_closing.set()
        self._is_due.set()
        self._thread.join(seconds)

    def _line(self, call: Call) -> bytes:
        line = _Line(
            self._time(call.answered),
            call.request_id,
            call.client,
            call.protocol,
            call.api,
            call.model,
            call.version,
            call.deployment,
            call.is_canary,
            call.signature,
            call.status,
            call.rows,
            call.batch_rows,
            call.request_bytes,
            call.response_bytes,
            _phases(call),
            call.principal,
            masked(call.error) if call.error else "",
        )
        try:
            return self._encode(line) + b"\n"
        except UnicodeEncodeError:  # a client's bytes that are no Unicode
            for name in ("request_id", "client", "signature", "principal", "error", "model"):
                setattr(line, name, getattr(line, name).encode("utf-8", "replace").decode())
            return self._encode(line) + b"\n"

    def _time(self, moment: float) -> str:
        """RFC 3339 in UTC, of a moment by `time.monotonic`."""
        second = int(moment + self._offset)
        if second != self._second:
            self._offset = time.time() - time.monotonic()  # the clock may have been set
            second = self._second = int(moment + self._offset)
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        return f"{self._text}{int((moment + self._offset) % 1 * 1000):03d}Z"

    def _work(self) -> None:
        """The thread. Whatever happens to a line, the next one is tried."""
        while not self._is_closing.is_set() or self._lines:
            self._is_due.wait()
            self._is_closing.wait(FLUSH_SECONDS)
            self._is_due.clear()
            if self._is_reopening:
                self._is_reopening = False
                self._sink.reopen()
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            lost = self._sink.write(lines)
            self._taken += sum(map(len, lines))
            if lost:
                self._dropped(lost)
        self._sink.close()


def _phases(call: Call) -> _Phases:
    """Whole microseconds: rounding to them by `int` costs a third of `round`."""
    parsed, started, gathered, computed = call.parsed, call.started, call.gathered, call.computed
    ms = _Phases(int((call.answered - call.arrived) * 1e6) / 1e3)
    if parsed:
        ms.parse = int((parsed - call.arrived) * 1e6) / 1e3
        if started:
            ms.queue = int((started - parsed) * 1e6) / 1e3
            if computed and gathered:
                ms.batch = int((gathered - started) * 1e6) / 1e3
                ms.run = int((computed - gathered) * 1e6) / 1e3
                ms.write = int((call.answered - computed) * 1e6) / 1e3
    return ms
