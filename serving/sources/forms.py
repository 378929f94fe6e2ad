"""What a version's folder holds, and what serves it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from serving.backends.choose import choose
from serving.options import BackendChoice
from serving.sources.saved_model import FILE
from skylift.artifacts.layout import MANIFEST
from skylift.artifacts.records import ModelManifest, decode
from skylift.errors import DeployError

Kind = Literal["tensorflow", "onnx", "tflite"]
_SAVED_MODELS = (FILE, "saved_model.pbtxt", "saved_model.cpb")


@dataclass(frozen=True)
class Form:
    """One stored form of a version.

    Args:
        kind: what serves it.
        path: the file that holds it, or the folder of a SavedModel.
        manifest: what was published with it, where it was published by us.
    """

    kind: Kind
    path: Path
    manifest: ModelManifest | None = None


def find_form(folder: Path, choice: BackendChoice = "auto", platform: str = "", *, prefer_tflite: bool = False) -> Form:
    """The form of a version that is served.

    A manifest of ours decides where there is one (see `serving.backends.choose`); else the files: a SavedModel, `model.onnx` or the only
    `*.onnx`, `model.tflite` or the only `*.tflite`, in this order.

    Args:
        choice: what the endpoint must be served by, if not whatever there is.
        platform: what the model's configuration says that it is.
        prefer_tflite: take `model.tflite` before a SavedModel beside it (--prefer_tflite_model).

    Raises:
        DeployError: there is no such form.
    """
    if (folder / MANIFEST).exists():
        manifest = decode((folder / MANIFEST).read_bytes(), ModelManifest, str(folder / MANIFEST))
        kind, path = choose(manifest, choice)
        return Form(kind, folder / path, manifest)
    found = list(_forms(folder))
    if prefer_tflite:
        found.sort(key=lambda form: form.kind != "tflite")
    asked = [name for name in (choice if choice != "auto" else "", platform) if name]
    for form in found:
        if all(name == form.kind or (name == "tensorflow" and prefer_tflite) for name in asked):
            return form
    wanted = f"no model that {' and '.join(asked)} serves" if asked else "no model"
    raise DeployError(
        f"{folder} holds {wanted}; it has {_listed(folder)}",
        hint=f"a version is a folder with {FILE}, model.onnx, model.tflite or a {MANIFEST} of ours",
        details={"folder": str(folder), "found": [form.kind for form in found]},
    )


def _forms(folder: Path) -> Iterator[Form]:
    if any((folder / name).is_file() for name in _SAVED_MODELS):
        yield Form("tensorflow", folder)
    for kind in ("onnx", "tflite"):
        path = _only(folder, f"model.{kind}", sorted(folder.glob(f"*.{kind}")))
        if path is not None:
            yield Form("onnx" if kind == "onnx" else "tflite", path)


def _only(folder: Path, usual: str, found: Sequence[Path]) -> Path | None:
    if folder / usual in found:
        return folder / usual
    return found[0] if len(found) == 1 else None


def _listed(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return ", ".join(names[:10]) + (" …" if len(names) > 10 else "") if names else "nothing"
