"""Which kind of model lies at a path, told from its first and last bytes: no framework is loaded for it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from skylift.errors import InputError

Kind = Literal["keras", "saved_model", "onnx"]

GRAPHS = ("saved_model.pb", "saved_model.pbtxt")
"""One of them makes a folder a SavedModel."""

_KNOWN = "known are .keras, .h5, .onnx and SavedModel folders"
_HDF5 = b"\x89HDF\r\n\x1a\n"


def kind_of(path: Path) -> Kind:
    """The kind of a model made elsewhere.

    Raises:
        InputError: nothing is there, it cannot be read, it is of no known kind, or it is not what its ending says.
    """
    try:
        if path.is_dir():
            return _folder(path)
        if not path.exists():
            raise InputError(f"there is no file or folder {path}", hint="check the path")
        if not path.is_file():
            raise InputError(f"{path} is neither a file nor a folder", hint=_KNOWN)
        return _file(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}", hint="check who may read it: `ls -l`"
        ) from None


def _folder(path: Path) -> Kind:
    entries = sorted(path.iterdir())
    if any(entry.name in GRAPHS for entry in entries):
        return "saved_model"
    if not entries:
        raise InputError(f"{path} is an empty folder", hint=f"name a model; {_KNOWN}")
    inside = [entry for entry in entries if entry.is_dir() and any((entry / name).is_file() for name in GRAPHS)]
    models = inside or [entry for entry in entries if entry.suffix.lower() in (".keras", ".h5", ".hdf5", ".onnx")]
    raise InputError(
        f"{path} is no SavedModel: it has no {GRAPHS[0]}",
        hint=f"did you mean {models[-1]}?" if models else f"name the model's own folder or file; {_KNOWN}",
    )


def _file(path: Path) -> Kind:
    ending = path.suffix.lower()
    if path.name in GRAPHS:
        raise InputError(f"{path} is one file of a SavedModel", hint=f"name the folder: {path.parent}")
    if ending not in (".keras", ".h5", ".hdf5", ".onnx"):
        raise InputError(f"{path}: {ending or 'no ending'} is no known kind of model", hint=_KNOWN)
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        raise InputError(f"{path} is empty", hint="make it again, or copy it again")
    if ending == ".onnx":
        return "onnx"
    if ending == ".keras" and not zipfile.is_zipfile(path):
        if start == _HDF5:
            raise InputError(f"{path} is an HDF5 file", hint="rename it so that it ends in .h5")
        said = "is cut off or damaged" if start.startswith(b"PK") else "is no Keras file, which is a zip archive inside"
        raise InputError(f"{path} {said}", hint="save it again with `model.save`, or copy it again")
    if ending != ".keras" and start != _HDF5:
        raise InputError(f"{path} is no HDF5 file", hint="save it again with `model.save`, or copy it again")
    return "keras"
