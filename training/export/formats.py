"""Every stored form of a model: written, loaded again and compared with the model on the same rows before it counts."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from skylift.artifacts.records import Format, FormatName
from training.contract import Split, Task
from training.export import tflite
from training.export.causes import explained
from training.export.compare import ExportError, Named, Runner, compare
from training.export.running import (
    SIGNATURE,
    function_runner,
    load_keras,
    onnx_runner,
    onnx_session,
    saved_model_runner,
)
from training.export.signature import serving_function
from training.loop.batches import Inputs, inputs_of

ROWS = 256
OPSET = 18
SAVED_MODEL = "saved_model"
ONNX = "model.onnx"
KERAS = "model.keras"
H5 = "model.h5"
TFLITE = "model.tflite"

FORMATS: tuple[FormatName, ...] = get_args(FormatName)
SPOKEN: dict[FormatName, str] = {
    "saved_model": "SavedModel",
    "onnx": "ONNX",
    "keras": "Keras",
    "h5": ".h5",
    "tflite": "TFLite",
}
DEFAULT: tuple[FormatName, ...] = ("saved_model", "onnx", "keras")


@dataclass(frozen=True)
class Exported:
    """`notes` says which forms were dropped, and why."""

    formats: dict[FormatName, Format]
    notes: list[str]
    output_shape: list[int | None]
    """Of the first output."""
    failed: dict[str, ExportError] = field(default_factory=dict)
    """The dropped forms, by the name that people know."""


def export_all(
    tf: Any, model: Any, task: Task, test: Split, folder: Path, wanted: Sequence[FormatName] = DEFAULT
) -> Exported:
    """Write SavedModel, from which others are made, and the `wanted` forms below `folder`, compared on rows of the test split.

    Raises:
        ExportError: the SavedModel fails or differs. Another form that does is dropped with a note.
    """
    rows = rows_of(task, test)
    serve = serving_function(tf, model, task)
    expected = function_runner(tf, serve)(rows)
    exported = export_function(tf, model, serve, rows, expected, folder, wanted)

    def runner(read: Any) -> Runner:
        return function_runner(tf, serving_function(tf, read, task))

    if "keras" in wanted:
        add_keras(model, runner, rows, expected, folder, exported)
    if "h5" in wanted:
        with _or_dropped(".h5", folder / H5, exported, "the .keras form holds the same"):
            exported.formats["h5"] = write_h5(model, runner, rows, expected, folder)
    if "tflite" in wanted:
        with _or_dropped("TFLite", folder / TFLITE, exported, "the model is served from another form"):
            exported.formats["tflite"] = write_tflite(tf, rows, expected, folder)
    return exported


def refuse_impossible(tf: Any, model: Any, task: Task, test: Split, wanted: Sequence[FormatName]) -> None:
    """Try the forms that somebody asked for on a model that has not learned yet, so that nobody trains for what cannot be.

    Raises:
        ExportError: the first form that fails, why, and how to build the model for it.
    """
    if not wanted or model.dtype_policy.name != "float32":
        return
    with tempfile.TemporaryDirectory(prefix="skylift-forms-") as scratch:
        exported = export_all(tf, model, task, test, Path(scratch) / "model", wanted)
    for form, why in exported.failed.items():
        raise ExportError(f"the model cannot be stored as {form}: {why.message}", hint=why.hint)


def rows_of(task: Task, test: Split, most: int = ROWS) -> Named:
    """The first rows of a split, raw, by the names of the inputs."""
    return _named(inputs_of(test, task.inputs, np.arange(min(test.rows, most))), task)


def write_h5(model: Any, runner: Callable[[Any], Runner], rows: Named, expected: Named, folder: Path) -> Format:
    """Write Keras' older form.

    Raises:
        ExportError: it cannot be read again without code, or differs.
    """
    import keras

    model.save(folder / H5)
    return checked(H5, runner(load_keras(keras, folder / H5)), rows, expected)


def write_tflite(tf: Any, rows: Named, expected: Named, folder: Path) -> Format:
    """Convert the SavedModel in `folder`.

    Raises:
        ExportError: what LiteRT computes differs.
        Exception: of the converter, which `causes.explained` knows.
    """
    (folder / TFLITE).write_bytes(tflite.convert(tf, folder / SAVED_MODEL))
    return checked(TFLITE, tflite.runner(folder / TFLITE), rows, expected)


def export_function(
    tf: Any,
    model: Any,
    serve: Any,
    rows: Named,
    expected: Named,
    folder: Path,
    wanted: Sequence[FormatName] = DEFAULT,
    least: float = 0.0,
) -> Exported:
    """Write SavedModel and, where it is wanted, ONNX below `folder`.

    Args:
        model: what holds the variables.
        serve: a tf.function with an input signature of named tensors, which returns tensors by name.
        expected: what `serve` gives for `rows`.
        least: a tolerance above the usual one, for a model that rounds while it computes.

    Raises:
        ExportError: the SavedModel fails or differs. An ONNX model that does is dropped with a note.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    saved = write_saved_model(tf, model, serve, folder / SAVED_MODEL)
    formats: dict[FormatName, Format] = {"saved_model": checked(SAVED_MODEL, saved, rows, expected, least)}
    exported = Exported(formats, [], [None, *next(iter(expected.values())).shape[1:]])
    if "onnx" in wanted:
        add_onnx(tf, serve, rows, expected, folder, exported, least)
    return exported


def add_onnx(
    tf: Any, serve: Any, rows: Named, expected: Named, folder: Path, exported: Exported, least: float = 0.0
) -> None:
    """Write the ONNX form and add it to `exported`; one that fails or differs is dropped with a note."""
    with _or_dropped("ONNX", folder / ONNX, exported, "the model is served from its SavedModel"):
        run = _write_onnx(tf, serve, list(expected), folder / ONNX)
        exported.formats["onnx"] = checked(ONNX, run, rows, expected, least)


def add_keras(
    model: Any, runner: Callable[[Any], Runner], rows: Named, expected: Named, folder: Path, exported: Exported
) -> None:
    """Write the .keras form and add it to `exported`; one that cannot be read again without code is dropped with a note.

    Args:
        runner: what calls a Keras model by the names of the signature.
    """
    import keras

    with _or_dropped("Keras", folder / KERAS, exported, "the other forms need no code of yours"):
        model.save(folder / KERAS)
        exported.formats["keras"] = checked(KERAS, runner(load_keras(keras, folder / KERAS)), rows, expected)


@contextlib.contextmanager
def _or_dropped(form: str, path: Path, exported: Exported, instead: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if getattr(error, "errno", None) in (28, 122):
            raise
        if not isinstance(error, ExportError):
            traceback.print_exc()
        path.unlink(missing_ok=True)
        why = exported.failed[form] = explained(form, error)
        exported.notes.append(f"no {form} form: {why.message}; {instead}" + (f" ({why.hint})" if why.hint else ""))


def checked(path: str, run: Runner, rows: Named, expected: Named, least: float = 0.0) -> Format:
    """The form, now that it is known to compute what is expected."""
    return Format(path=path, parity=compare(path, run, rows, expected, least))


def write_saved_model(tf: Any, model: Any, serve: Any, folder: Path, more: dict[str, Any] | None = None) -> Runner:
    """Write `serve` as the usual signature and `more` functions by the names of theirs; what calls the usual one, loaded again."""
    module = tf.Module()
    module.model = model
    # Keras does not show TensorFlow the states of its random layers, which the function holds although it never uses them.
    module.states = [variable.value for variable in model.variables]
    module.serve = serve
    tf.saved_model.save(module, str(folder), signatures={SIGNATURE: serve, **(more or {})})
    return saved_model_runner(tf, folder)


def _write_onnx(tf: Any, serve: Any, output_names: list[str], path: Path) -> Runner:
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    import tf2onnx

    with contextlib.redirect_stdout(io.StringIO()):
        function = _OwnInputs(serve)
        tf2onnx.convert.from_function(
            function, input_signature=serve.input_signature, opset=OPSET, output_path=str(path)
        )
    session = onnx_session(path)
    inputs, outputs = [each.name for each in session.get_inputs()], [each.name for each in session.get_outputs()]
    if set(inputs) != {each.name for each in serve.input_signature} or set(outputs) != set(output_names):
        raise ExportError(f"{path.name} has the inputs {inputs} and outputs {outputs}, not the names of the signature")
    return onnx_runner(session)


class _OwnInputs:
    """A function, and what it computes, without the constants that it caught: the converter takes each for one more input.

    Keras' Normalization holds its mean and variance so.
    """

    def __init__(self, serve: Any) -> None:
        self._names = {f"{each.name}:0" for each in serve.input_signature}
        self._whole = serve

    def get_concrete_function(self, *signature: Any) -> _OwnInputs:
        self._whole = self._whole.get_concrete_function(*signature)
        self.inputs = [each for each in self._whole.inputs if each.name in self._names]
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)


def _named(x: Inputs, task: Task) -> Named:
    return x if isinstance(x, dict) else {task.inputs[0].name: x}
