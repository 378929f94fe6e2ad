"""Keras's own quantisation: weights of dense layers in 8 bits, their inputs in 8 bits as they come."""

from __future__ import annotations

import collections
import warnings
from typing import Any

from training.export import formats
from training.export.compare import HALF_TOLERANCE, Runner
from training.export.one import rows_for, serve_of
from training.export.running import function_runner
from training.optimize.bench import Bench, UnfitError, Variant


def weights_int8(bench: Bench) -> Variant:
    """`model.quantize("int8")`, which needs no data.

    Raises:
        UnfitError: the model has no layer that it changes.
    """
    model = bench.fresh()
    weighted = sum(
        bool(layer.weights) for layer in model._flatten_layers(include_self=False) if not _holds_layers(layer)
    )
    with warnings.catch_warnings(action="ignore"):  # Keras warns of every layer that it leaves alone
        model.quantize("int8")
    changed = [
        type(layer).__name__
        for layer in model._flatten_layers(include_self=False)
        if getattr(layer, "quantization_mode", None) == "int8" and not _holds_layers(layer)
    ]
    if not changed:
        raise UnfitError("Keras quantises dense layers alone, and the model has none", hint="take int8 or float16")
    kinds = ", ".join(f"{count} {kind}" for kind, count in collections.Counter(changed).items())
    folder = bench.scratch / "weights-int8"

    def runner(read: Any) -> Runner:
        return function_runner(bench.tf, serve_of(bench.opened, read))

    rows, serve = rows_for(bench.opened), serve_of(bench.opened, model)
    expected = function_runner(bench.tf, serve)(rows)
    made = formats.export_function(bench.tf, model, serve, rows, expected, folder, least=HALF_TOLERANCE)
    formats.add_keras(model, runner, rows, expected, folder, made)
    details = {"layers": f"{kinds} of {weighted} layers with weights"}
    return Variant("weights-int8", folder, made.formats, details, made.notes)


def _holds_layers(layer: Any) -> bool:
    return next(iter(layer._flatten_layers(include_self=False)), None) is not None
