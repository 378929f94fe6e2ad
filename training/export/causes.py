"""Why a form could not be written or read, in words that name the fix; what the converters say fills pages."""

from __future__ import annotations

import re

from skylift.errors import SkyliftError
from training.export.compare import ExportError

_UNKNOWN = re.compile(r"No Op registered for (\w+)|Unsupported ops: Counter\(\{'(\w+)'")
_FLEX = re.compile(r"Flex ops?: ([\w, ]+)|custom ops?: ([\w, ]+)|(tf\.\w+) \{|'(tf\.\w+)' op is neither")
_LAYER = re.compile(r"Unknown layer: ?'(\w+)'")


def explained(form: str, error: Exception) -> ExportError:
    """The error of a converter or a runtime as ours, with its cause and a hint.

    Args:
        form: for people: `ONNX`, `TFLite`, `.h5`.
    """
    said = str(error)
    if "Erfc" in said:
        return ExportError(
            "ONNX has no form of the exact GELU (Erfc)",
            hint="take the tanh form: activation=lambda x: keras.ops.gelu(x, approximate=True) in a registered function, "
            "as training/recipes/attention.py does",
        )
    if form == "TFLite" and ("TensorList" in said or "tf.While" in said):
        return ExportError(
            "TFLite has no form of a recurrent layer's loop over a list of tensors",
            hint="build LSTM and GRU layers with unroll=True (for a fixed number of steps), or serve the ONNX form",
        )
    if form == ".h5" and (layer := _LAYER.search(said)):
        return ExportError(
            f"HDF5 knows layers alone: {layer[1]} is an operation or a layer that it cannot name",
            hint="store .keras instead, or put the operation inside a registered layer",
        )
    if isinstance(error, SkyliftError):
        return ExportError(error.message, hint=error.hint)
    if found := _UNKNOWN.search(said):
        name = found[1] or found[2]
        return ExportError(f"{form} has no operation {name}", hint=f"build the model without {name}")
    if form == "TFLite" and (found := _FLEX.search(said)):
        name = next(group for group in found.groups() if group)
        return ExportError(
            f"TFLite has no operation {name.strip()}", hint="build the model without it, or serve the ONNX form"
        )
    return ExportError(f"it cannot be written: {_line(said) or type(error).__name__}", hint="store another form")


def _line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[0][:300] if lines else ""
