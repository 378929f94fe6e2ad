"""The model before it is cut: how it is called, the rows it is tried with, and what it gives for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skylift.artifacts.records import Signature, TensorSpec
from skylift.errors import InputError
from training.export import running
from training.export.compare import Named, Runner
from training.importing.original import named_function
from training.importing.trial import make_rows, reaches
from training.published import Published, some_rows

ROWS = 256


@dataclass(frozen=True)
class Whole:
    """An opened model with rows of the test split, or, without data, rows made up from its signature.

    Args:
        signature: as published, its inputs and outputs in the order of the Keras model.
        serve: a compiled function of named tensors.
    """

    signature: Signature
    serve: Any
    rows: Named
    expected: Named
    has_data: bool


def prepare(opened: Published) -> Whole:
    """Call the model as it was published.

    Raises:
        InputError: its Keras model does not take or give what its signature says, or has no graph to cut.
    """
    signature = Signature(
        inputs=_inputs(opened),
        outputs=_in_order(opened, "outputs", opened.manifest.signature.outputs, _output_names(opened)),
    )
    serve = _serving(opened, signature)
    run = running.function_runner(opened.tf, serve)
    if opened.data is not None:
        rows = some_rows(opened, ROWS)
        return Whole(signature, serve, rows, run(rows), has_data=True)
    failure: Exception | None = None
    for reach in reaches(opened.task.input_kind == "image"):
        rows = make_rows(signature.inputs, reach, opened.task.input_kind == "image")
        try:
            return Whole(signature, serve, rows, run(rows), has_data=False)
        except Exception as error:  # TensorFlow has many kinds
            failure = failure or error
    raise InputError(
        f"{opened.name} does not run on rows made up from its signature: {str(failure).splitlines()[0]}",
        hint="train it here by a recipe, whose data it is tried with then",
    )


def references(opened: Published, whole: Whole) -> dict[str, Runner]:
    """What computes the uncut model: Keras, and its published SavedModel and ONNX file."""
    found = {"keras": running.function_runner(opened.tf, whole.serve)}
    formats = opened.manifest.formats
    if "saved_model" in formats:
        found["saved_model"] = running.saved_model_runner(opened.tf, opened.folder / formats["saved_model"].path)
    if "onnx" in formats:
        found["onnx"] = running.onnx_runner(running.onnx_session(opened.folder / formats["onnx"].path))
    return found


def _inputs(opened: Published) -> list[TensorSpec]:
    specs = opened.manifest.signature.inputs
    tensors = list(getattr(opened.model, "inputs", None) or [])
    if not tensors:
        raise InputError(
            f"{opened.name} has no graph of layers to cut at: {type(opened.model).__name__} is a class of its own",
            hint="build it from keras.Input and layers (keras.Model(inputs, outputs) or keras.Sequential with an Input)",
        )
    if len(specs) == 1 and len(tensors) == 1:
        return list(specs)
    return _in_order(opened, "inputs", specs, [each.name for each in tensors])


def _output_names(opened: Published) -> list[str]:
    """The keys of a model that returns a dict, else the names of its last layers, each once: as a .keras file is taken in."""
    import keras

    specs, model = opened.manifest.signature.outputs, opened.model
    if len(specs) == 1:
        return [specs[0].name]
    if isinstance(getattr(model, "output", None), dict):
        return [str(path[-1]) for path, _ in keras.tree.flatten_with_path(model.output)]
    names = list(getattr(model, "output_names", []))
    return names if len(set(names)) == len(specs) else [f"output_{number}" for number in range(len(specs))]


def _in_order(opened: Published, what: str, specs: list[TensorSpec], names: list[str]) -> list[TensorSpec]:
    known = {spec.name: spec for spec in specs}
    if set(names) != set(known) or len(names) != len(known):
        raise InputError(
            f"{opened.name} was published with the {what} {', '.join(known)}; its Keras model has {', '.join(names)}",
            hint="publish it again: `skylift train`, or `skylift models add`",
        )
    return [known[name] for name in names]


def _serving(opened: Published, signature: Signature) -> Any:
    import keras

    tf, model = opened.tf, opened.model
    structure = getattr(model, "input", model.inputs[0])  # a Sequential has none, and takes its one tensor

    def call(named: Mapping[str, Any]) -> dict[str, Any]:
        packed = keras.tree.pack_sequence_as(structure, [named[spec.name] for spec in signature.inputs])
        given = keras.tree.flatten(model(packed, training=False))
        return {spec.name: tf.cast(each, spec.dtype) for spec, each in zip(signature.outputs, given, strict=True)}

    return named_function(tf, signature.inputs, call)
