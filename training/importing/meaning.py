"""What the outputs of an imported model mean: told by whoever adds it, checked against what the model gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skylift.artifacts.records import InputKind, Signature, TaskInfo, TaskKind
from skylift.errors import InputError
from training.contract import Array
from training.export.compare import Named, is_float
from training.importing.original import show

_SUM_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Meaning:
    labels: tuple[str, ...] = ()
    unit: str = ""
    is_image: bool = False

    def check(self) -> None:
        """Raises InputError where it contradicts itself, before any model is read."""
        if self.labels and self.unit:
            raise InputError(
                "a model has either labels or a unit", hint="give --labels to a classifier, --unit to a regression"
            )
        if len(self.labels) == 1 or not all(label.strip() for label in self.labels):
            raise InputError("a classifier has at least two labels, none of them empty", hint="write --labels no,yes")
        twice = sorted({label for label in self.labels if self.labels.count(label) > 1})
        if twice:
            raise InputError(f"label {twice[0]!r} is there twice", hint="every class has a label of its own")


def task_of(meaning: Meaning, signature: Signature, outputs: Named) -> TaskInfo:
    """The task as the manifest holds it.

    Args:
        outputs: what the model gave for made-up rows.

    Raises:
        InputError: input or output do not fit the meaning.
    """
    if meaning.is_image:
        _check_image(signature)
    input_kind: InputKind = "image" if meaning.is_image else "tensor"
    if not meaning.labels and not meaning.unit:
        return TaskInfo(input_kind=input_kind)
    if len(outputs) != 1:
        raise InputError(
            f"the model has the outputs {', '.join(outputs)}; labels and units are for models with one",
            hint="add it without --labels and --unit, or export it with one output",
        )
    output = next(iter(outputs.values()))
    if not is_float(output):
        raise InputError(
            f"the model gives {signature.outputs[0].dtype}, not floating-point numbers", hint="add it without meaning"
        )
    if meaning.unit:
        return TaskInfo(kind="regression", unit=meaning.unit, input_kind=input_kind)
    kind = _kind(meaning.labels, output)
    return TaskInfo(kind=kind, labels=list(meaning.labels), input_kind=input_kind)


def _kind(labels: Sequence[str], output: Array) -> TaskKind:
    width = int(np.prod(output.shape[1:], dtype=int))
    flat = output.astype(np.float64).reshape(len(output), -1)
    is_binary = width == 1 and len(labels) == 2
    if not is_binary and width != len(labels):
        raise InputError(
            f"the model gives {width} value(s) per row ({show(output.shape[1:])}), and {len(labels)} labels are given",
            hint="give one label per value, in order; two where the one value is a sigmoid's",
            details={"values": width, "labels": len(labels)},
        )
    finite = flat[np.isfinite(flat).all(axis=1)]
    outside = bool((finite < -_SUM_TOLERANCE).any() or (finite > 1 + _SUM_TOLERANCE).any())
    if outside or (not is_binary and bool((np.abs(finite.sum(axis=1) - 1) > _SUM_TOLERANCE).any())):
        end = "sigmoid" if is_binary else "softmax"
        raise InputError(
            f"the model's outputs are no probabilities: they lie between {finite.min():.3g} and {finite.max():.3g}",
            hint=f"end the model in a {end} layer, or add it without --labels",
        )
    return "binary" if is_binary else "classification"


def _check_image(signature: Signature) -> None:
    shapes = [spec.shape for spec in signature.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] not in (1, 3):
        takes = ", ".join(f"{spec.name} {show(spec.shape)}" for spec in signature.inputs)
        raise InputError(
            f"the model takes no image: its input is {takes}",
            hint="an image is one input [rows, height, width, 1 or 3]; add the model without --image",
        )
