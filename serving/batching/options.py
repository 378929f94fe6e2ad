"""How requests of one model are batched."""

from __future__ import annotations

from itertools import pairwise

import msgspec

from skylift.errors import InputError


class BatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Checked where it is made.

    Args:
        max_batch_rows: computed at once, at most.
        queue_rows: may wait; a single greater request is taken when nothing waits.
        queue_bytes: the inputs of what waits, likewise.
        queue_seconds: no request waits longer [s]: it is refused if it would, and given up if it did.
        burst_requests: so many may wait before more than the model can do counts as an overload: as many clients as that may each wait
            for an answer without one being refused. From then on, until fewer come, only a short queue is kept.
        max_delay_seconds: how long a batch that is not full may wait for more rows [s]; 0 for never. For GPUs, where a batch of one costs
            what a full one does.
        allowed_rows: sizes that are computed, ascending; a batch is filled up to the next one by repeating its first row. For what is
            compiled per shape (XLA, TensorRT, CUDA graphs). Empty: any size.
        pad_variable: rows whose varying dimensions differ are computed together, filled up with zeros or empty strings at the end, as
            TensorFlow Serving's `pad_variable_length_inputs` does. Answers keep the longer dimensions.
        batch_bytes: the inputs of one batch together, where it has more than one row.
        tune: batches only as great as measured cost says is worth it, see `serving.batching.tuning`.
        latency_seconds: a batch greater than the smallest takes at most so long [s], as far as measured; 0 for no limit. Needs `tune`.

    Raises:
        InputError: every value that cannot be.
    """

    max_batch_rows: int = 64
    queue_rows: int = 4096
    queue_bytes: int = 512 * 1024 * 1024
    queue_seconds: float = 10.0
    burst_requests: int = 512
    max_delay_seconds: float = 0.0
    allowed_rows: tuple[int, ...] = ()
    pad_variable: bool = False
    batch_bytes: int = 256 * 1024 * 1024
    tune: bool = True
    latency_seconds: float = 0.0

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {getattr(self, name)}, it must be at least 1"
            for name in ("max_batch_rows", "queue_rows", "queue_bytes", "burst_requests", "batch_bytes")
            if getattr(self, name) < 1
        ]
        if not self.queue_seconds > 0:
            wrong.append(f"queue_seconds is {self.queue_seconds:g}, it must be more than 0")
        wrong += [
            f"{name} is {getattr(self, name):g}, it must not be less than 0"
            for name in ("max_delay_seconds", "latency_seconds")
            if not getattr(self, name) >= 0
        ]
        wrong += self._wrong_sizes()
        if self.max_batch_rows > self.queue_rows:
            wrong.append(f"max_batch_rows {self.max_batch_rows} is more than queue_rows {self.queue_rows}")
        if wrong:
            raise InputError("; ".join(wrong), hint="docs/serving-batching.md says what each option means")

    def _wrong_sizes(self) -> list[str]:
        sizes = self.allowed_rows
        if not sizes:
            return []
        if sizes[0] < 1 or any(one >= other for one, other in pairwise(sizes)):
            return [f"allowed_rows {list(sizes)} must be whole numbers from 1 on, each greater than the one before"]
        if sizes[-1] != self.max_batch_rows:
            return [f"the last of allowed_rows is {sizes[-1]}, it must be max_batch_rows, {self.max_batch_rows}"]
        return []
