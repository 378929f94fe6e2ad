"""Stored forms, loaded again and called by the names of their inputs and outputs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from skylift.errors import MachineError
from training.contract import Array
from training.export.compare import ExportError, Named, Runner

SIGNATURE = "serving_default"

CODE_MISSING = re.compile(
    r"(Could not locate (?:class|function) '[^']+'|Unknown (?:layer|object|\w+ function): ?'[^']+')", re.IGNORECASE
)
"""How Keras says that code is missing, somewhere in a long text."""


def onnx_session(path: Path) -> Any:
    """A session on the CPU. What is wrong with the file comes as ONNX Runtime's own error.

    Raises:
        MachineError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MachineError(
            f"ONNX Runtime cannot be imported: {error}", hint="install it: `pip install 'skylift[serve]'`"
        ) from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def load_keras(keras: Any, path: Path) -> Any:
    """The model of a .keras or .h5 file. Code inside the file is never run: Keras' safe mode stays on.

    Raises:
        ExportError: it needs code that is not there.
    """
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (TypeError, ValueError) as error:
        missing = CODE_MISSING.search(str(error))
        why = f"it has custom code: {missing[0]}" if missing else str(error).splitlines()[0]
        raise ExportError(
            f"{path.name} cannot be read again: {why}",
            hint="register the code by keras.saving.register_keras_serializable" if missing else "",
        ) from None


def onnx_runner(session: Any) -> Runner:
    names = [each.name for each in session.get_outputs()]

    def run(rows: Named) -> Named:
        return dict(zip(names, map(_as_bytes, session.run(names, rows)), strict=True))

    return run


def signature_runner(tf: Any, signature: Any) -> Runner:
    """A signature of a SavedModel."""

    def run(rows: Named) -> Named:
        return _as_arrays(signature(**{name: tf.constant(array) for name, array in rows.items()}))

    return run


def function_runner(tf: Any, serve: Any) -> Runner:
    """A tf.function with an input signature of named tensors, which returns tensors by name."""

    def run(rows: Named) -> Named:
        return _as_arrays(serve(*(tf.constant(rows[spec.name]) for spec in serve.input_signature)))

    return run


def saved_model_runner(tf: Any, folder: Path) -> Runner:
    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures[SIGNATURE]

    def run(rows: Named, _keep: Any = loaded) -> Named:  # the signature alone does not hold the variables
        return signature_runner(tf, signature)(rows)

    return run


def _as_arrays(outputs: Any) -> Named:
    return {name: np.asarray(output.numpy()) for name, output in outputs.items()}


def _as_bytes(array: Array) -> Array:
    """Texts as TensorFlow gives them."""
    if array.dtype != object:
        return array
    texts = np.empty(array.size, dtype=object)
    texts[:] = [text.encode() if isinstance(text, str) else text for text in array.ravel()]
    return texts.reshape(array.shape)
