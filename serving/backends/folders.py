"""A version that lies in a folder without a manifest of ours: TensorFlow Serving's layout, a bare ONNX or TFLite file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from serving.backends.base import Backend
from serving.backends.saved_model import FILES
from serving.options import BackendChoice
from skylift.errors import DeployError

Form = Literal["saved_model", "onnx", "tflite"]

_ORDER: Sequence[tuple[Form, BackendChoice]] = (("saved_model", "tensorflow"), ("onnx", "onnx"), ("tflite", "tflite"))
"""Nobody has compared the forms of such a version: the SavedModel is what the others are made from."""


@dataclass(frozen=True)
class Facts:
    """What lies in a folder.

    Args:
        path: the SavedModel's folder, or the file.
        bytes: of all that belongs to it, about what it takes in memory.
    """

    form: Form
    path: Path
    bytes: int


def load_folder(
    folder: Path,
    choice: BackendChoice,
    threads: int,
    *,
    tags: Sequence[str] = ("serve",),
    gpu_index: int = 0,
    gpu_memory_mib: int = 0,
) -> tuple[Facts, Backend]:
    """Load what lies in a folder, under the names and with all the signatures that it has itself.

    Args:
        tags: of the SavedModel's graph.

    Raises:
        DeployError: there is nothing that can be served, or not what was asked for.
        MachineError: the package that would serve it is not installed.
    """
    facts = look(folder, choice)
    if facts.form == "saved_model":
        from serving.backends.tensorflow import TensorFlowBackend

        return facts, TensorFlowBackend(facts.path, threads, None, tags=tags, gpu_memory_mib=gpu_memory_mib)
    if facts.form == "onnx":
        from serving.backends.onnx import OnnxBackend

        return facts, OnnxBackend(facts.path, threads, None, gpu_index=gpu_index, gpu_memory_mib=gpu_memory_mib)
    from serving.backends.tflite import TFLiteBackend

    return facts, TFLiteBackend(facts.path, threads, None)


def look(folder: Path, choice: BackendChoice = "auto") -> Facts:
    """What of a folder would be served. Reads nothing but names and sizes.

    Raises:
        DeployError: nothing can be, or not by `choice`.
    """
    found = _found(folder)
    for form, backend in _ORDER:
        if form in found and choice in ("auto", backend):
            return Facts(form, found[form], _bytes(folder))
    raise DeployError(
        f"{folder} holds {', '.join(found) or 'no SavedModel, ONNX or TFLite file'}, nothing that backend {choice!r} can serve",
        hint="a version is a folder with saved_model.pb, or with model.onnx or model.tflite in it",
    )


def _found(folder: Path) -> dict[Form, Path]:
    found: dict[Form, Path] = {}
    if any((folder / name).is_file() for name in FILES):
        found["saved_model"] = folder
    for form in ("onnx", "tflite"):
        file = _one_file(folder, form)
        if file is not None:
            found[form] = file
    return found


def _one_file(folder: Path, form: Literal["onnx", "tflite"]) -> Path | None:
    """`model.<form>`, or the only file of that kind."""
    usual = folder / f"model.{form}"
    if usual.is_file():
        return usual
    files = sorted(folder.glob(f"*.{form}"))
    if len(files) > 1:
        raise DeployError(
            f"{folder} holds {', '.join(file.name for file in files)}: which of them is the model cannot be told",
            hint=f"name one of them model.{form}",
        )
    return files[0] if files else None


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
