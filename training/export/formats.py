"""Every stored form of a model: written, loaded again and compared with the model on the same rows before it counts."""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skylift.artifacts.records import Format
from training.contract import Split, Task
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

FormatName = Literal["saved_model", "onnx", "keras", "tflite"]


@dataclass(frozen=True)
class Exported:
    """`notes` says which forms were dropped, and why."""

    formats: dict[FormatName, Format]
    notes: list[str]
    output_shape: list[int | None]
    """Of the first output."""


def export_all(tf: Any, model: Any, task: Task, test: Split, folder: Path) -> Exported:
    """Write SavedModel, ONNX and .keras below `folder`, compared on rows of the test split.

    Raises:
        ExportError: the SavedModel fails or differs. Another form that does is dropped with a note.
    """
    rows = _named(inputs_of(test, task.inputs, np.arange(min(test.rows, ROWS))), task)
    serve = serving_function(tf, model, task)
    expected = function_runner(tf, serve)(rows)
    exported = export_function(tf, model, serve, rows, expected, folder)
    add_keras(
        model, lambda read: function_runner(tf, serving_function(tf, read, task)), rows, expected, folder, exported
    )
    return exported


def export_function(tf: Any, model: Any, serve: Any, rows: Named, expected: Named, folder: Path) -> Exported:
    """Write SavedModel and ONNX below `folder`.

    Args:
        model: what holds the variables.
        serve: a tf.function with an input signature of named tensors, which returns tensors by name.
        expected: what `serve` gives for `rows`.

    Raises:
        ExportError: the SavedModel fails or differs. An ONNX model that does is dropped with a note.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    saved = write_saved_model(tf, model, serve, folder / SAVED_MODEL)
    formats: dict[FormatName, Format] = {"saved_model": checked(SAVED_MODEL, saved, rows, expected)}
    exported = Exported(formats, [], [None, *next(iter(expected.values())).shape[1:]])
    add_onnx(tf, serve, rows, expected, folder, exported)
    return exported


def add_onnx(tf: Any, serve: Any, rows: Named, expected: Named, folder: Path, exported: Exported) -> None:
    """Write the ONNX form and add it to `exported`; one that fails or differs is dropped with a note."""
    with _or_dropped("ONNX", folder / ONNX, exported, "the model is served from its SavedModel"):
        run = _write_onnx(tf, serve, list(expected), folder / ONNX)
        exported.formats["onnx"] = checked(ONNX, run, rows, expected)


def add_keras(
    model: Any, runner: Callable[[Any], Runner], rows: Named, expected: Named, folder: Path, exported: Exported
) -> None:
    """Write the .keras form and add it to `exported`; one that cannot be read again without code is dropped with a note.

    Args:
        runner: what calls a Keras model by the names of the signature.
    """
    import keras

    with _or_dropped(
        "Keras", folder / KERAS, exported, "register the layer by keras.saving.register_keras_serializable"
    ):
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
        exported.notes.append(f"no {form} form: {error}; {instead}")


def checked(path: str, run: Runner, rows: Named, expected: Named) -> Format:
    """The form, now that it is known to compute what is expected."""
    return Format(path=path, parity=compare(path, run, rows, expected))


def write_saved_model(
    tf: Any, model: Any, serve: Any, folder: Path, more: dict[str, Any] | None = None
) -> Runner:
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
