"""What came of cutting a model up: the parts, how exactly the chain answers, how fast it can be."""

from __future__ import annotations

import msgspec

from skylift.artifacts.records import ModelRef
from training.shard.cuts import Objective


class PartReport(msgspec.Struct, frozen=True, kw_only=True):
    """One part as it was built.

    Args:
        parameters: numbers; `parameter_bytes` what they take.
        activation_bytes: most held at once for one row.
        bytes_in: per row, across the cut in front of it; 0 of the first part.
        ms: by rows in a batch, as a compiled TensorFlow function by itself.
        share: of the time of all parts, in a batch of 32.
        version: where it was published; None on disk.
    """

    name: str
    first: str
    last: str
    layers: int
    parameters: int
    parameter_bytes: int
    activation_bytes: int
    bytes_in: int
    ms: dict[int, float]
    share: float
    inputs: dict[str, int]
    outputs: list[str]
    forms: list[str]
    version: ModelRef | None = None


class ChainParity(msgspec.Struct, frozen=True, kw_only=True):
    """The chain of one form against the uncut model: as Keras computes it, or its own published form."""

    form: str
    against: str
    max_abs_difference: float
    tolerance: float
    rows: int


class Efficiency(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline of as many devices as parts beside one device, for batches of `rows`.

    A stage takes the time of its part and that of receiving what crosses the cut in front of it; the slowest one sets the pace.

    Args:
        runtime: tensorflow (compiled functions) or onnx (ONNX Runtime).
        rows_per_second: predicted, of the pipeline; `one_device` measured.
        speedup: their ratio; `without_transfer`: what it were if nothing had to travel.
    """

    runtime: str
    rows: int
    whole_ms: float
    parts_ms: list[float]
    transfer_ms: list[float]
    one_device: float
    rows_per_second: float
    speedup: float
    without_transfer: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `training shard`. `rows` says what it was tried with."""

    model: str
    objective: Objective
    bandwidth: float
    parts: list[PartReport]
    parity: list[ChainParity]
    efficiency: list[Efficiency]
    rows: str
    notes: list[str]
    chain: ModelRef | None = None
    folder: str = ""


def efficiency(runtime: str, rows: int, whole_ms: float, parts_ms: list[float], transfer_ms: list[float]) -> Efficiency:
    """The pace that the slowest stage sets.

    Examples:
        >>> found = efficiency("onnx", 32, 8.0, [4.0, 3.0], [0.0, 1.0])
        >>> found.one_device, found.rows_per_second, found.speedup
        (4000.0, 8000.0, 2.0)
    """
    slowest = max(own + moving for own, moving in zip(parts_ms, transfer_ms, strict=True))
    return Efficiency(
        runtime=runtime,
        rows=rows,
        whole_ms=whole_ms,
        parts_ms=parts_ms,
        transfer_ms=transfer_ms,
        one_device=rows / whole_ms * 1e3,
        rows_per_second=rows / slowest * 1e3,
        speedup=whole_ms / slowest,
        without_transfer=whole_ms / max(parts_ms),
    )
