"""Every stored form of a model: written, loaded again and compared with the model on real rows before it counts."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skylift.artifacts.records import Format, Parity
from skylift.errors import RunFailedError
from training.contract import Array, Split, Task
from training.export.signature import output_name, serving_function
from training.loop.batches import Inputs, inputs_of

ROWS = 256
TOLERANCE = 1e-4
"""Greatest difference, absolute up to outputs of size 1 and relative beyond."""
OPSET = 18

FormatName = Literal["saved_model", "onnx", "keras", "tflite"]


class ExportError(RunFailedError):
    """A form could not be written, or does not compute what the model computes."""

    kind = "export"


@dataclass(frozen=True)
class Exported:
    """`notes` says which forms were dropped, and why."""

    formats: dict[FormatName, Format]
    notes: list[str]
    output_shape: list[int | None]


def export_all(tf: Any, model: Any, task: Task, test: Split, folder: Path) -> Exported:
    """Write SavedModel and ONNX below `folder`.

    Raises:
        ExportError: the SavedModel fails or differs. An ONNX model that does is dropped with a note.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rows = _named(inputs_of(test, task.inputs, np.arange(min(test.rows, ROWS))), task)
    serve = serving_function(tf, model, task)
    expected = serve(*(tf.constant(rows[each.name]) for each in task.inputs))[output_name(task)].numpy()
    saved = _write_saved_model(tf, model, serve, folder / "saved_model")
    formats: dict[FormatName, Format] = {"saved_model": _checked("saved_model", saved, rows, expected, task)}
    notes = []
    try:
        run = _write_onnx(tf, serve, task, folder / "model.onnx")
        formats["onnx"] = _checked("model.onnx", run, rows, expected, task)
    except Exception as error:
        if getattr(error, "errno", None) in (28, 122):
            raise
        if not isinstance(error, ExportError):
            traceback.print_exc()
        (folder / "model.onnx").unlink(missing_ok=True)
        notes.append(f"no ONNX form: {error}; the model is served from its SavedModel")
    return Exported(formats, notes, [None, *expected.shape[1:]])


def _checked(
    name: str, run: Callable[[dict[str, Array]], Array], rows: dict[str, Array], expected: Array, task: Task
) -> Format:
    """Compare all rows at once, and one row alone: a form with a fixed batch fails the second."""
    whole = run(rows)
    alone = run({key: value[:1] for key, value in rows.items()})
    if whole.shape != expected.shape or alone.shape != expected[:1].shape:
        raise ExportError(f"{name} gives the shape {whole.shape} for {len(expected)} rows and {alone.shape} for one")
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    difference = max(float(np.abs(whole - expected).max()), float(np.abs(alone - expected[:1]).max()))
    tolerance = TOLERANCE * scale
    if not difference <= tolerance:  # NaN is no match either
        raise ExportError(
            f"{name} differs from the model by {difference:.2g} on {len(expected)} rows of the test split",
            hint="build the model from layers that export exactly",
        )
    parity = Parity(max_abs_difference=difference, rows=len(expected), tolerance=tolerance, holds=True)
    return Format(path=name, parity=parity)


def _write_saved_model(tf: Any, model: Any, serve: Any, folder: Path) -> Callable[[dict[str, Array]], Array]:
    module = tf.Module()
    module.model = model
    module.serve = serve
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]

    def run(rows: dict[str, Array]) -> Array:
        (output,) = signature(**{name: tf.constant(array) for name, array in rows.items()}).values()
        computed: Array = output.numpy()
        return computed

    return run


def _write_onnx(tf: Any, serve: Any, task: Task, path: Path) -> Callable[[dict[str, Array]], Array]:
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    import onnxruntime
    import tf2onnx

    with contextlib.redirect_stdout(io.StringIO()):
        tf2onnx.convert.from_function(serve, input_signature=serve.input_signature, opset=OPSET, output_path=str(path))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs, outputs = [each.name for each in session.get_inputs()], [each.name for each in session.get_outputs()]
    if inputs != [each.name for each in task.inputs] or outputs != [output_name(task)]:
        raise ExportError(f"model.onnx has the inputs {inputs} and outputs {outputs}, not the names of the signature")

    def run(rows: dict[str, Array]) -> Array:
        computed: Array = session.run(outputs, rows)[0]
        return computed

    return run


def _named(x: Inputs, task: Task) -> dict[str, Array]:
    return x if isinstance(x, dict) else {task.inputs[0].name: x}
