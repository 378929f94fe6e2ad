"""A SavedModel folder: stored as it is, and as ONNX where that can be had."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from skylift.artifacts.records import TensorSpec
from skylift.errors import InputError
from training.export.compare import Named
from training.export.formats import SAVED_MODEL, Exported, add_onnx, checked
from training.export.running import SIGNATURE, saved_model_runner, signature_runner
from training.importing.original import first_line, named_function, require_rows, start_tensorflow


class SavedModelFolder:
    """The signature `serving_default` of the folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tf, _ = start_tensorflow()
        try:
            self._loaded: Any = self._tf.saved_model.load(str(path))
            signatures = dict(self._loaded.signatures)
        except Exception as error:
            raise InputError(
                f"TensorFlow cannot load {path.name}: {first_line(error)}",
                hint="export the model again, or copy the whole folder again",
            ) from None
        self._function = _default(signatures, path)
        self.inputs = [
            TensorSpec(name=name, dtype=_dtype("input", name, spec), shape=require_rows(name, _shape(spec)))
            for name, spec in self._function.structured_input_signature[1].items()
        ]
        for name, spec in self._function.structured_outputs.items():
            _dtype("output", name, spec)
        self.outputs = {name: _shape(spec) for name, spec in self._function.structured_outputs.items()}

    def run(self, rows: Named) -> Named:
        return signature_runner(self._tf, self._function)(rows)

    def store(self, rows: Named, expected: Named, folder: Path) -> Exported:
        copy = folder / SAVED_MODEL
        shutil.copytree(self._path, copy)
        form = checked(SAVED_MODEL, saved_model_runner(self._tf, copy), rows, expected)
        first = next(iter(expected.values()))
        exported = Exported({"saved_model": form}, [], [None, *first.shape[1:]])
        serve = named_function(self._tf, self.inputs, lambda named: self._function(**named))
        add_onnx(self._tf, serve, rows, expected, folder, exported)
        return exported


def _default(signatures: dict[str, Any], path: Path) -> Any:
    if SIGNATURE in signatures:
        return signatures[SIGNATURE]
    others = ", ".join(sorted(signatures))
    raise InputError(
        f"{path.name} has no signature {SIGNATURE!r}"
        + (f"; its signatures are {others}" if others else "; it has none at all"),
        hint="save it with `tf.saved_model.save(model, folder, signatures={'serving_default': …})`, "
        "or `model.export(folder)` in Keras",
        details={"signatures": sorted(signatures)},
    )


def _shape(spec: Any) -> list[int | None] | None:
    return None if spec.shape.rank is None else list(spec.shape.as_list())


def _dtype(what: str, name: str, spec: Any) -> str:
    if not hasattr(spec, "dtype") or spec.dtype.name in ("resource", "variant") or "Tensor" not in type(spec).__name__:
        raise InputError(
            f"{what} {name!r} is a {type(spec).__name__}, which cannot be served", hint="give plain tensors"
        )
    return str(spec.dtype.name)
