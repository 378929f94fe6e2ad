"""Post-training forms for ONNX Runtime: 8-bit whole numbers, calibrated, and 16-bit floating point."""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

from skylift.artifacts.records import Format
from training.export import formats
from training.export.compare import HALF_TOLERANCE, Named
from training.export.running import onnx_runner, onnx_session
from training.optimize.bench import CALIBRATION_ROWS, ROUNDED, Bench, UnfitError

OPERATIONS = ["Conv", "MatMul", "Gemm"]
"""What is worth it: the other operations take longer to convert to and fro than they save."""

BATCH = 32


class _Rows:
    """Calibration rows as ONNX Runtime asks for them."""

    def __init__(self, rows: Named) -> None:
        count = len(next(iter(rows.values())))
        self._left = [{name: each[at : at + BATCH] for name, each in rows.items()} for at in range(0, count, BATCH)][
            ::-1
        ]

    def get_next(self) -> Named | None:
        return self._left.pop() if self._left else None


def int8(bench: Bench, folder: Path, original: Path | None = None, least: float = ROUNDED) -> tuple[Format, int]:
    """Weights and activations of convolutions and matrix products in 8 bits, weights by channel: the form, and how many operations
    compute so.

    Raises:
        UnfitError: the model has no ONNX form, or no such operation with weights.
        InputError: there are no rows to calibrate with.
    """
    from onnxruntime.quantization import QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    rows = formats.rows_of(bench.task, bench.calibration(), CALIBRATION_ROWS)
    prepared, path = folder / "prepared.onnx", folder / formats.ONNX
    with _quiet():
        quant_pre_process(str(original or bench.form("onnx")), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(path),
            _reader(rows),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATIONS,
            per_channel=True,
        )
    prepared.unlink()
    count = _quantized(path)
    if not count:
        raise UnfitError(
            "no convolution or matrix product in the ONNX form has weights that could be stored in 8 bits",
            hint="take float16 or weights-int8",
        )
    return bench.checked(path, onnx_runner(onnx_session(path)), least), count


def float16(bench: Bench, folder: Path) -> Format:
    """Weights and computation in 16 bits; inputs and outputs keep their types.

    Raises:
        UnfitError: the model has no ONNX form, or ONNX Runtime refuses the new one.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    path = folder / formats.ONNX
    with _quiet():
        onnx.save(convert_float_to_float16(onnx.load(str(bench.form("onnx"))), keep_io_types=True), str(path))
    return bench.checked(path, onnx_runner(onnx_session(path)), HALF_TOLERANCE)


def _reader(rows: Named) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(_Rows, CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
        pass

    return Reader(rows)


def _quantized(path: Path) -> int:
    """Operations whose weights come out of 8-bit constants."""
    import onnx

    graph = onnx.load(str(path)).graph
    constants = {each.name for each in graph.initializer}
    from_bytes = {
        node.output[0] for node in graph.node if node.op_type == "DequantizeLinear" and node.input[0] in constants
    }
    return sum(node.op_type in OPERATIONS and any(name in from_bytes for name in node.input) for node in graph.node)


@contextlib.contextmanager
def _quiet() -> Any:
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.root.setLevel(level)
