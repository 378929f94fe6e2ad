"""The models that a service has put into a folder of this machine, in whichever of the usual forms.

Ours (a manifest and its files), TensorFlow Serving's (folders called after versions, which hold the files), the files themselves; alone,
or each in a folder called after the model, however deep: AWS's TensorFlow container takes `/opt/ml/model/NAME/1/saved_model.pb`, Azure ML
adds the folders that a model was registered with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from serving.interface import ModelConfig
from serving.sources.config import name_fault
from serving.sources.folders import version_of
from serving.sources.loose import holds_version
from skylift.artifacts.layout import MANIFEST
from skylift.artifacts.records import ModelManifest, decode
from skylift.errors import InputError, SkyliftError

DEPTH = 6
USUAL = "model"
"""What a model is called that nothing names."""


def find_models(where: str) -> tuple[ModelConfig, ...]:
    """What lies in a folder, or at a URL, which holds one model.

    Raises:
        InputError: it holds no model, or two of one name.
    """
    if "://" in where and not where.startswith("file://"):
        return (ModelConfig(USUAL, where, is_mounted=True),)
    root = Path(where.removeprefix("file://"))
    bases: dict[Path, Path] = {}
    for version in _versions(root, DEPTH):
        is_numbered = version != root and version_of(version.name) is not None
        bases.setdefault(version.parent if is_numbered else version, version)
    if not bases:
        raise InputError(
            f"{root} holds no model",
            hint=f"it may hold a {MANIFEST} of ours, a SavedModel, an ONNX or TFLite file, or folders called after versions with these",
        )
    names = {base: _name(base, version, root) for base, version in bases.items()}
    _check(names)
    return tuple(ModelConfig(names[base], str(base), is_mounted=True) for base in sorted(bases))


def has_anything(folder: Path) -> bool:
    """Whether a service has mounted something there."""
    try:
        with os.scandir(folder) as found:
            return next(found, None) is not None
    except OSError:
        return False


def _versions(folder: Path, depth: int) -> Iterator[Path]:
    """Folders that hold a version's files, the nearest."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return
    if holds_version(entry.name for entry in entries if entry.is_file()):
        yield folder
    elif depth:
        for entry in entries:
            # SageMaker's `code` is for the Python of its own containers; `.` begins what is nobody's.
            if entry.is_dir() and entry.name != "code" and not entry.name.startswith("."):
                yield from _versions(folder / entry.name, depth - 1)


def _name(base: Path, version: Path, root: Path) -> str:
    manifest = version / MANIFEST
    if manifest.is_file():
        try:
            return decode(manifest.read_bytes(), ModelManifest, str(manifest)).name
        except (OSError, SkyliftError):
            pass  # whoever loads it says what is wrong
    return USUAL if base == root or name_fault(base.name) else base.name


def _check(names: Mapping[Path, str]) -> None:
    for name in sorted(set(names.values())):
        places = sorted(str(base) for base, one in names.items() if one == name)
        if len(places) > 1:
            raise InputError(
                f"there are several models called {name!r}: {', '.join(places)}", hint="rename the folders"
            )
