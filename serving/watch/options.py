"""What is watched: a part of the worker's options."""

from __future__ import annotations

import msgspec


class Redaction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a sample must not be stored.

    Args:
        inputs: names of inputs and outputs that are left out whole.
        hash: names whose values are replaced by keyed hashes, numbers too.
        keep: names of text tensors whose texts are stored; those of all others become their length and a keyed hash.
        patterns: regular expressions; what they match in a text that is kept is replaced.
    """

    inputs: list[str] = []
    hash: list[str] = []
    keep: list[str] = []
    patterns: list[str] = []


class SampleOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests are stored in the work bucket.

    Args:
        rate: share of the requests that were answered well, 0 to 1.
        per_minute: samples of a worker at most.
        bytes_per_minute: of a worker's samples at most.
        rows: of a request that are stored at most.
    """

    work: str = ""
    """URL of the work bucket; without one nothing is stored."""
    endpoint: str = ""
    replica: str = ""
    rate: float = 0.0
    per_minute: int = 60
    bytes_per_minute: int = 4 * 1024 * 1024
    rows: int = 8
    redact: Redaction = Redaction()


class DriftOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How requests are compared with what a model learned from.

    Args:
        windows: rows of each sliding window, of a worker; none: nothing is compared.
        per_second: requests of a model that are looked at, at most.
    """

    windows: tuple[int, ...] = (1_000, 10_000)
    per_second: float = 200.0


class WatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """All that is watched. Traces follow the environment alone: `serving.watch.traces`.

    Args:
        versions: of a model whose metrics are kept apart; `models` likewise.
        access_log: `off`, `stderr` or a path.
        access_log_rate: share of the successful requests that are logged, 0 to 1.
    """

    versions: int = 4
    models: int = 1000
    access_log: str = "off"
    access_log_rate: float = 1.0
    samples: SampleOptions = SampleOptions()
    drift: DriftOptions = DriftOptions()
