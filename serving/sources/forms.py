"""What a model's configuration says of the form in which its versions are served."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from serving.options import BackendChoice
from skylift.artifacts.layout import MANIFEST
from skylift.errors import DeployError

TFLITE = "model.tflite"


def backend_for(
    folder: Path, choice: BackendChoice, platform: str = "", *, prefer_tflite: bool = False
) -> BackendChoice:
    """What is to serve a version: `choice` for `serving.backends.folders.load_folder`. A manifest of ours decides for itself.

    Args:
        choice: what the whole server was told to use.
        platform: the model's `model_platform`: `tensorflow`, `onnx`, `tflite`, or nothing.
        prefer_tflite: of a TensorFlow model `model.tflite` is served if it lies beside the SavedModel (--prefer_tflite_model).

    Raises:
        DeployError: the model says that it is another than the server was told to use.
    """
    if (folder / MANIFEST).exists() or not (platform or prefer_tflite):
        return choice
    if platform and choice not in ("auto", platform):
        raise DeployError(
            f"the model says that its platform is {platform!r}, and the server was told to use {choice!r} alone",
            hint="set the backend to auto, or correct model_platform in the model configuration",
        )
    if prefer_tflite and platform in ("", "tensorflow") and choice != "onnx" and (folder / TFLITE).is_file():
        return "tflite"
    return cast(BackendChoice, platform) if platform else choice
