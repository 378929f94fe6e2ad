"""An ONNX file, with ONNX Runtime alone."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skylift.artifacts.records import TensorSpec
from skylift.errors import InputError, MachineError
from training.export.compare import Named
from training.export.formats import ONNX, Exported, checked
from training.export.running import onnx_runner, onnx_session
from training.importing.original import first_line, require_rows

_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    "tensor(string)": "string",
    **{f"tensor({name})": name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
}


class OnnxFile:
    """Copied as it is, with the files beside it that hold its weights."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            session = onnx_session(path)
        except MachineError:
            raise
        except Exception as error:
            raise InputError(
                f"ONNX Runtime cannot load {path.name}: {first_line(error)}",
                hint="export the model again, or copy the file again",
            ) from None
        self.inputs = [
            TensorSpec(name=node.name, dtype=_dtype("input", node), shape=require_rows(node.name, _shape(node)))
            for node in session.get_inputs()
        ]
        for node in session.get_outputs():
            _dtype("output", node)
        self.outputs = {node.name: _shape(node) or None for node in session.get_outputs()}
        self._run = onnx_runner(session)

    def run(self, rows: Named) -> Named:
        return self._run(rows)

    def store(self, rows: Named, expected: Named, folder: Path) -> Exported:
        folder.mkdir(parents=True)
        for location in sorted(_external(self._path)):
            _copy_beside(self._path.parent, location, folder)
        shutil.copyfile(self._path, folder / ONNX)
        again = onnx_runner(onnx_session(folder / ONNX))
        first = next(iter(expected.values()))
        return Exported({"onnx": checked(ONNX, again, rows, expected)}, [], [None, *first.shape[1:]])


def _dtype(what: str, node: Any) -> str:
    if node.type not in _TYPES:
        hint = "give `zipmap=False` to skl2onnx" if node.type.startswith("seq(map(") else "export it as a plain tensor"
        raise InputError(f"{what} {node.name!r} is of the type {node.type}, which cannot be served", hint=hint)
    return _TYPES[node.type]


def _shape(node: Any) -> list[int | None]:
    return [size if isinstance(size, int) else None for size in node.shape or ()]


def _copy_beside(source: Path, location: str, folder: Path) -> None:
    origin = (source / location).resolve()
    if not origin.is_relative_to(source.resolve()) or (folder / location).name == ONNX:
        raise InputError(
            f"the model keeps weights in {location!r}, which cannot be copied with it",
            hint="save it again with the weights in the file, or in a file beside it",
        )
    (folder / location).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(origin, folder / location)


def _external(path: Path) -> set[str]:
    """Files that hold weights. Only the package onnx can tell; without it a model in several files fails when it is loaded again."""
    if importlib.util.find_spec("onnx") is None:
        return set()
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    return {
        entry.value
        for tensor in _tensors(graph)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner)
