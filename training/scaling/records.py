"""What is asked of the processes that measure, what they answer, and what is made of it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Kind = Literal["same batch", "same share"]
"""How the batch goes with the workers: that of all together stays, or that of each."""

KINDS: tuple[Kind, ...] = ("same batch", "same share")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A measurement. Either `seconds` or `steps` says how long each one takes.

    Args:
        recipe: a bundled recipe's name, or the module in `code_root`.
        data: folder that `load` gets.
    """

    recipe: str
    code_root: str | None = None
    hyperparameters: dict[str, Any] = {}
    data: str | None = None
    seconds: float = 5.0
    steps: int = 0


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """One measured speed, the median of its rounds.

    Args:
        batch: rows of a step, of all workers together.
        step_s: how long a step takes [s].
        spread: the slowest round's time against the quickest one's, less one.
        cores: CPU time of one worker against wall time, in cores.
    """

    kind: Kind
    batch: int
    step_s: float
    spread: float
    cores: float

    @property
    def rows_per_s(self) -> float:
        return self.batch / self.step_s


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a group found.

    Args:
        gradient_bytes: what the workers tell each other in each step.
        small_s: an all-reduce of one number among them [s].
        large_s: one of `large_bytes` [s].
    """

    workers: int
    batch_size: int
    speeds: list[Speed]
    gradient_bytes: int
    small_s: float = 0.0
    large_s: float = 0.0
    large_bytes: int = 0


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A number of workers in the report.

    Args:
        rows_per_s: measured; None where it is predicted only.
        efficiency: rows_per_s against that of so many single workers.
        here: predicted rows a second where all share this machine's cores; None for more workers than were measured.
        apart: predicted rows a second with a machine like this one for each.
    """

    workers: int
    kind: Kind
    batch: int
    rows_per_s: float | None
    efficiency: float | None
    spread: float | None
    here: float | None
    apart: float
    apart_efficiency: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; `wire` says where bandwidth and latency come from."""

    recipe: str
    machine: str
    cores: int
    cores_of_one: float
    batch_size: int
    step_s: float
    gradient_bytes: int
    bandwidth: float | None
    hop_s: float | None
    wire: str
    points: list[Point]
    notes: list[str]
