"""A .keras or .h5 file: exported as SavedModel and ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skylift.artifacts.records import TensorSpec
from skylift.errors import InputError
from training.export.compare import Named
from training.export.formats import Exported, add_keras, export_function
from training.export.running import CODE_MISSING, function_runner
from training.importing.original import first_line, named_function, require_rows, start_tensorflow


class KerasFile:
    """The whole model, without its training configuration. Code inside the file is never run: Keras' safe mode stays on."""

    def __init__(self, path: Path) -> None:
        self._tf, keras = start_tensorflow()
        self._model = _load(keras, path)
        tensors = list(getattr(self._model, "inputs", None) or [])
        if not tensors:
            raise InputError(
                f"{path.name} does not say what the model takes",
                hint="build it from keras.Input, or call it once before it is saved; or add the folder of `model.export`",
            )
        self.inputs = [
            TensorSpec(name=each.name, dtype=each.dtype, shape=require_rows(each.name, each.shape)) for each in tensors
        ]
        names = output_names(keras, self._model)
        self.outputs: dict[str, list[int | None] | None] = {
            name: list(each.shape) for name, each in zip(names, self._model.outputs, strict=True)
        }

        self._names = names
        self._serve = self._function(self._model)

    def _function(self, model: Any) -> Any:
        import keras

        structure = getattr(model, "input", model.inputs[0])  # a Sequential has none, and takes its one tensor

        def call(named: Named) -> dict[str, Any]:
            packed = keras.tree.pack_sequence_as(structure, [named[spec.name] for spec in self.inputs])
            return dict(zip(self._names, keras.tree.flatten(model(packed, training=False)), strict=True))

        return named_function(self._tf, self.inputs, call)

    def run(self, rows: Named) -> Named:
        return function_runner(self._tf, self._serve)(rows)

    def store(self, rows: Named, expected: Named, folder: Path) -> Exported:
        exported = export_function(self._tf, self._model, self._serve, rows, expected, folder)
        add_keras(
            self._model, lambda read: function_runner(self._tf, self._function(read)), rows, expected, folder, exported
        )
        return exported


def _load(keras: Any, path: Path) -> Any:
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        text = str(error)
        if "Lambda" in text and "safe" in text:
            raise InputError(
                f"{path.name} has a Lambda layer, which is code inside the file: it is not run",
                hint="write it as a layer of its own, or, if you trust the file, load it where you made it, "
                "`model.export(folder)`, and add that folder",
            ) from None
        if missing := CODE_MISSING.search(text):
            raise InputError(
                f"{path.name} has a custom layer or function: {missing[0]}",
                hint="where its code is known, `model.export(folder)`, and add that folder: it needs no code",
            ) from None
        raise InputError(
            f"Keras cannot load {path.name}: {first_line(text.rpartition('Exception encountered: ')[2])}",
            hint="save it again with `model.save`; a file of weights alone is no model",
        ) from None


def output_names(keras: Any, model: Any) -> list[str]:
    """The keys of a model that returns a dict, else the names of its last layers, each once."""
    if isinstance(getattr(model, "output", None), dict):
        names = [str(path[-1]) for path, _ in keras.tree.flatten_with_path(model.output)]
    else:
        names = [str(name) for name in getattr(model, "output_names", [model.layers[-1].name])]
    if len(names) != len(model.outputs) or len(set(names)) != len(names):
        names = [f"output_{number}" for number in range(len(model.outputs))]
    return names
