"""What one process has counted, as it goes to the supervisor: plain structs that can be added up."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from serving.calls import Api, Way
from serving.watch import histograms
from serving.watch.histograms import add_up, empty

OTHER = -1
"""The version under which those are summed up that have not been asked for the longest time."""


class Cell(msgspec.Struct):
    """Requests of one kind. `last` is when the last one was answered, by `time.monotonic` of this machine [s].

    Args:
        statuses: requests by status, HTTP's or of gRPC its own.
        whole: from arrival to answer [s]; `parse` to `write` are its phases.
        latency, runtime: the successful ones in TensorFlow Serving's buckets [us].
        examples: rows of a request that brought tf.train.Examples.
    """

    model: str
    version: int
    protocol: Way
    api: Api
    is_canary: bool
    last: float = 0.0
    rows: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    statuses: dict[int, int] = {}
    whole: list[float] = msgspec.field(default_factory=lambda: empty(histograms.SECONDS))
    parse: list[float] = msgspec.field(default_factory=lambda: empty(histograms.SECONDS))
    queue: list[float] = msgspec.field(default_factory=lambda: empty(histograms.SECONDS))
    batch: list[float] = msgspec.field(default_factory=lambda: empty(histograms.SECONDS))
    run: list[float] = msgspec.field(default_factory=lambda: empty(histograms.SECONDS))
    write: list[float] = msgspec.field(default_factory=lambda: empty(histograms.SECONDS))
    latency: list[float] = msgspec.field(default_factory=lambda: empty(histograms.LATENCY_US))
    runtime: list[float] = msgspec.field(default_factory=lambda: empty(histograms.LATENCY_US))
    examples: list[float] = msgspec.field(default_factory=lambda: empty(histograms.EXAMPLES))

    HISTOGRAMS: ClassVar[tuple[str, ...]] = (
        "whole",
        "parse",
        "queue",
        "batch",
        "run",
        "write",
        "latency",
        "runtime",
        "examples",
    )
    PHASES: ClassVar[tuple[str, ...]] = ("parse", "queue", "batch", "run", "write")

    @property
    def key(self) -> tuple[str, int, str, str, bool]:
        return self.model, self.version, self.protocol, self.api, self.is_canary

    def add(self, other: Cell) -> None:
        self.last = max(self.last, other.last)
        self.rows += other.rows
        self.request_bytes += other.request_bytes
        self.response_bytes += other.response_bytes
        for status, more in other.statuses.items():
            self.statuses[status] = self.statuses.get(status, 0) + more
        for name in self.HISTOGRAMS:
            add_up(getattr(self, name), getattr(other, name))


class Batches(msgspec.Struct):
    """Batches that a version computed. `rows` is a histogram of their rows."""

    model: str
    version: int
    last: float = 0.0
    rows: list[float] = msgspec.field(default_factory=lambda: empty(histograms.ROWS))

    @property
    def key(self) -> tuple[str, int]:
        return self.model, self.version

    def add(self, other: Batches) -> None:
        self.last = max(self.last, other.last)
        add_up(self.rows, other.rows)


class Loads(msgspec.Struct):
    """Loads of one folder. Latencies in us, as TensorFlow Serving has them; warm-ups by whether they went well."""

    model: str
    version: int
    path: str
    last: float = 0.0
    succeeded: int = 0
    failed: int = 0
    load_us: int = 0
    warmed: list[float] = msgspec.field(default_factory=lambda: empty(histograms.LATENCY_US))
    not_warmed: list[float] = msgspec.field(default_factory=lambda: empty(histograms.LATENCY_US))

    @property
    def key(self) -> tuple[str, int, str]:
        return self.model, self.version, self.path

    def add(self, other: Loads) -> None:
        self.last = max(self.last, other.last)
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.load_us += other.load_us
        add_up(self.warmed, other.warmed)
        add_up(self.not_warmed, other.not_warmed)


class Drifted(msgspec.Struct):
    """One measure of a tensor over a window of `rows` rows: values by bin in the profile (`expected`) and now (`counts`)."""

    model: str
    version: int
    tensor: str
    feature: str
    window: int
    rows: int
    expected: list[int]
    counts: list[int]

    @property
    def key(self) -> tuple[str, int, str, str, int]:
        return self.model, self.version, self.tensor, self.feature, self.window

    def add(self, other: Drifted) -> None:
        if self.expected == other.expected:  # else a version was loaded again with another profile
            self.rows += other.rows
            self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]


class VersionGauge(msgspec.Struct, frozen=True, kw_only=True):
    """How a version is right now. `state` is one of `serving.interface.State`."""

    model: str
    version: int
    state: str = "AVAILABLE"
    platform: str = ""
    queue_rows: int = 0
    is_canary: bool = False


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker is right now; the integers of several workers are added up."""

    versions: list[VersionGauge] = []
    connections: int = 0
    in_flight: int = 0
    is_ready: bool = False


class Process(msgspec.Struct, frozen=True):
    """What a process uses. `cpu_seconds` counts up; times are since 1970 [s]."""

    cpu_seconds: float = 0.0
    resident_bytes: int = 0
    virtual_bytes: int = 0
    open_fds: int = 0
    threads: int = 0
    started: float = 0.0


class Snapshot(msgspec.Struct, kw_only=True):
    """All that a process, or all of them together, has counted since its start.

    Args:
        processes: how many it stands for.
        queuing: of all requests, in TensorFlow Serving's buckets [us].
        counters: by metric and label value: `{"skylift_shed_total": {"queue_full": 3}}`.
    """

    processes: int = 1
    cells: list[Cell] = []
    batches: list[Batches] = []
    loads: list[Loads] = []
    drift: list[Drifted] = []
    queuing: list[float] = msgspec.field(default_factory=lambda: empty(histograms.QUEUING_US))
    counters: dict[str, dict[str, int]] = {}
    gauges: Gauges = Gauges()
    process: Process = Process()
    info: dict[str, str] = {}


def encode(snapshot: Snapshot) -> bytes:
    return msgspec.json.encode(snapshot)


def decode(raw: bytes | str) -> Snapshot:
    """
    Raises:
        msgspec.DecodeError: it comes from another release.
    """
    return msgspec.json.decode(raw, type=Snapshot)
