"""Which stored form of a version is served, and by what."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from serving.backends.base import Backend
from serving.options import BackendChoice
from serving.signature import ModelSignature, of_spec
from skylift.artifacts.records import ModelManifest
from skylift.errors import DeployError

Kind = Literal["onnx", "tensorflow"]


def choose(manifest: ModelManifest, choice: BackendChoice) -> tuple[Kind, str]:
    """What serves a version and the path of its stored form.

    `auto` takes ONNX Runtime where the ONNX file was compared with the model and holds, or is all there is without ever
    having been compared (a model that was added); else TensorFlow.

    Raises:
        DeployError: the version has no form that can be served, or not the one that was asked for.
    """
    onnx, saved = manifest.formats.get("onnx"), manifest.formats.get("saved_model")
    if choice == "onnx" and onnx is not None:
        return "onnx", onnx.path
    if choice == "tensorflow" and saved is not None:
        return "tensorflow", saved.path
    if choice == "auto":
        if onnx is not None and onnx.parity is not None and onnx.parity.holds:
            return "onnx", onnx.path
        if saved is not None:
            return "tensorflow", saved.path
        if onnx is not None and onnx.parity is None:
            return "onnx", onnx.path
    raise DeployError(
        f"this version of model {manifest.name!r} has no form that backend {choice!r} can serve; it has "
        f"{', '.join(sorted(manifest.formats)) or 'none'}",
        hint="set the endpoint's backend to auto, or publish a version with that form",
        details={"backend": choice, "formats": sorted(manifest.formats)},
    )


def load(manifest: ModelManifest, folder: Path, choice: BackendChoice, threads: int) -> Backend:
    """Load a version from its folder.

    Raises:
        DeployError: it cannot be served.
        MachineError: the package that would serve it is not installed.
    """
    kind, path = choose(manifest, choice)
    wanted = ModelSignature(
        tuple(of_spec(spec) for spec in manifest.signature.inputs),
        tuple(of_spec(spec) for spec in manifest.signature.outputs),
    )
    if kind == "onnx":
        from serving.backends.onnx import OnnxBackend

        return OnnxBackend(folder / path, threads, wanted)
    from serving.backends.tensorflow import TensorFlowBackend

    return TensorFlowBackend(folder / path, threads, wanted)
