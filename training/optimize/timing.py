"""How long one call takes: every form in its own runtime, on one thread, all of them in turn, so that what else the machine does
falls on each alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from skylift.artifacts.records import FormatName
from training.export import tflite
from training.export.compare import Named
from training.optimize.judging import runner_of

BATCHES = (1, 32)
ROUNDS = 15
CALLS = 10
"""Most calls of one form in a round."""
SECONDS = 0.03
"""After which its turn ends [s]."""

K = TypeVar("K", bound=Hashable)


def call_of(form: FormatName, path: Path, rows: Named, batch: int) -> Callable[[], object]:
    """One call with so many rows; the first ones repeated where there are fewer."""
    taken = {name: np.resize(each, (batch, *each.shape[1:])) for name, each in rows.items()}
    if form == "tflite":
        return tflite.fixed_runner(path, taken)
    if form == "onnx":
        session = _session(path)
        return lambda: session.run(None, taken)
    run = runner_of(form, path)
    return lambda: run(taken)


def medians(calls: Mapping[K, Callable[[], object]]) -> dict[K, float]:
    """Milliseconds of a call, the median of up to ROUNDS * CALLS."""
    taken: dict[K, list[float]] = {key: [] for key in calls}
    for call in calls.values():
        call()  # the first one prepares
    for _ in range(ROUNDS):
        for key, call in calls.items():
            began = time.perf_counter()
            for _ in range(CALLS):
                start = time.perf_counter()
                call()
                now = time.perf_counter()
                taken[key].append(1e3 * (now - start))
                if now - began > SECONDS:
                    break
    return {key: statistics.median(each) for key, each in taken.items()}


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
