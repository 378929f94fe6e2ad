"""The TFLite (LiteRT) form. It is always converted from a SavedModel: from concrete functions it can come out as NaN without a word."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skylift.errors import MachineError
from training.export.compare import Named, Runner
from training.export.running import SIGNATURE

Rows = Callable[[], Iterator[Named]]
"""Gives single rows by input name, each `[1, …]`, to calibrate with."""


def convert(tf: Any, saved: Path, *, half: bool = False, calibration: Rows | None = None) -> bytes:
    """A SavedModel as the bytes of a TFLite file.

    Args:
        half: weights of 16 bits.
        calibration: int8 with ranges measured on these rows; inputs and outputs keep their types, and an operation that has no
            8-bit form stays as it is.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=[SIGNATURE])
    if half or calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if half:
        converter.target_spec.supported_types = [tf.float16]
    if calibration is not None:
        converter.representative_dataset = lambda: ((SIGNATURE, row) for row in calibration())
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
        made: bytes = converter.convert()
    return made


def interpreter(path: Path, threads: int = 1) -> Any:
    """LiteRT's interpreter of a file.

    Raises:
        MachineError: LiteRT is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-untyped]
    except ImportError as error:
        raise MachineError(
            f"LiteRT, which runs TFLite files, cannot be imported: {error}",
            hint="install it: `pip install 'skylift[train]'`",
        ) from None
    return Interpreter(model_path=str(path), num_threads=threads)


def runner(path: Path) -> Runner:
    """Calls the file by the names of its signature, with any number of rows."""
    loaded = interpreter(path)
    call = loaded.get_signature_runner(SIGNATURE)

    def run(rows: Named, _keep: Any = loaded) -> Named:
        return {name: np.array(output) for name, output in call(**rows).items()}

    return run


def fixed_runner(path: Path, rows: Named, threads: int = 1) -> Callable[[], None]:
    """One call with these very rows, memory laid out before: what a program with a fixed batch pays for it."""
    loaded = interpreter(path, threads)
    names = loaded.get_signature_runner(SIGNATURE).get_input_details()
    for name, detail in names.items():
        loaded.resize_tensor_input(detail["index"], rows[name].shape)
    loaded.allocate_tensors()
    outputs = [detail["index"] for detail in loaded.get_output_details()]

    def call() -> None:
        for name, detail in names.items():
            loaded.set_tensor(detail["index"], rows[name])
        loaded.invoke()
        for index in outputs:
            loaded.get_tensor(index)

    return call
