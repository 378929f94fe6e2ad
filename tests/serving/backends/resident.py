"""`python resident.py WHAT FOLDER`: loads and frees models, and prints as JSON what the process holds in between [MB]."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from serving.backends.base import Backend
from serving.backends.folders import load_folder
from serving.backends.memory import resident_bytes
from serving.backends.warm import warm
from tests.serving import onnx_models

ROWS = 64


def megabytes() -> float:
    return round(resident_bytes() / 1e6, 1)


def matrix(seed: int, size: int) -> bytes:
    from onnx import TensorProto, helper

    weights = np.random.default_rng(seed).standard_normal((size, size)).astype(np.float32)
    return onnx_models.model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [onnx_models.value("x", TensorProto.FLOAT, ["rows", size])],
        [onnx_models.value("y", TensorProto.FLOAT, ["rows", size])],
        [onnx_models.constant("w", weights)],
    )


def write(folder: Path, count: int, size: int) -> list[Path]:
    folders = []
    for number in range(count):
        own = folder / str(number)
        own.mkdir(parents=True)
        (own / "model.onnx").write_bytes(matrix(number, size))
        folders.append(own)
    return folders


def many(folder: Path) -> dict[str, object]:
    """100 models of 1 MB, each asked for 64 rows."""
    models: list[Backend] = []
    for own in [folder / str(number) for number in range(100)]:
        models.append(load_folder(own, "onnx", 1)[1])
        warm(models[-1], ROWS)
    all_loaded = megabytes()
    for model in models:
        model.close()
    return {"loaded": all_loaded, "freed": megabytes()}


def again(folder: Path) -> dict[str, object]:
    """One version loaded and freed 100 times."""
    left = []
    for _ in range(100):
        backend = load_folder(folder, "auto", 1)[1]
        warm(backend, ROWS)
        backend.close()
        left.append(megabytes())
    return {"freed": left}


WHAT: dict[str, Callable[[Path], dict[str, object]]] = {"many": many, "again": again}

if __name__ == "__main__":
    print(json.dumps(WHAT[sys.argv[1]](Path(sys.argv[2]))))
