"""How fast the parts and the uncut model are, each alone on this machine, and what a pipeline of the parts would make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.export.compare import Named
from training.published import Published
from training.shard.build import Part
from training.shard.cost import BATCHES, Call, nothing, prepared, repeated, timed
from training.shard.cuts import Wish
from training.shard.report import Efficiency, efficiency
from training.shard.whole import Whole
from training.shard.writing import Written

ROUNDS = 51
LEAST = 1e-3
"""What is faster cannot be told from nothing [ms]."""


@dataclass(frozen=True)
class Pace:
    """`parts_ms` by rows in a batch, in order, of compiled TensorFlow functions."""

    parts_ms: Mapping[int, list[float]]
    efficiency: list[Efficiency]


def measure_pace(
    opened: Published, whole: Whole, parts: Sequence[Part], written: Written, known: Named, wish: Wish
) -> Pace:
    """Time the parts and the uncut model beside each other: compiled functions, and ONNX Runtime on one thread where all have
    that form.

    Args:
        known: rows of everything that crosses a cut.
    """
    tf = opened.tf
    moved = [0.0] + [wish.transfer_ms(_bytes_in(part, known)) for part in parts[1:]]
    serves = [whole.serve, *(part.serving(tf) for part in parts)]
    takes = [whole.rows, *({spec.name: known[spec.name] for spec in part.signature.inputs} for part in parts)]
    own = {}
    for size in BATCHES:
        batches = [{name: repeated(array, size) for name, array in rows.items()} for rows in takes]
        calls = [prepared(tf, serve, batch) for serve, batch in zip(serves, batches, strict=True)]
        own[size] = timed(calls, nothing(tf), ROUNDS)
    found = [_pace("tensorflow", own[wish.rows], moved, wish.rows)]
    onnx = opened.manifest.formats.get("onnx")
    files = [folder / manifest.formats["onnx"].path for folder, manifest in written if "onnx" in manifest.formats]
    if onnx is not None and len(files) == len(parts):
        paths = [opened.folder / onnx.path, *files]
        calls = [_session_call(path, rows, wish.rows) for path, rows in zip(paths, takes, strict=True)]
        found.append(_pace("onnx", timed(calls, lambda: None, ROUNDS), moved, wish.rows))
    return Pace({size: times[1:] for size, times in own.items()}, found)


def _pace(runtime: str, times: Sequence[float], moved: list[float], rows: int) -> Efficiency:
    whole, *parts = (max(each, LEAST) for each in times)
    return efficiency(runtime, rows, whole, parts, moved)


def _session_call(path: Path, rows: Named, size: int) -> Call:
    """One thread: those of several sessions would wait actively for each other's cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    fed = {name: repeated(array, size) for name, array in rows.items()}
    return lambda: session.run(None, fed)


def _bytes_in(part: Part, known: Named) -> int:
    """Per row, of what comes from elsewhere than this part."""
    return sum(-(-known[spec.name].nbytes // len(known[spec.name])) for spec in part.signature.inputs)
