"""Rows made up from a signature, and what the original makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skylift.artifacts.records import Signature, TensorSpec
from skylift.errors import InputError
from training.contract import Array
from training.export.compare import Named
from training.importing.original import Original, first_line, show

ROWS = 8
SEED = 0
_WORDS = ("a", "sky", "lift", "over", "the", "blue", "harbour")


@dataclass(frozen=True)
class Reach:
    """Of what the signature leaves open: the size of a dimension, and below what whole numbers stay."""

    size: int
    below: int


def reaches(is_image: bool) -> tuple[Reach, ...]:
    """What is tried in turn. Whole numbers may be places in a table of unknown length: small ones fit where large ones do not."""
    size = 64 if is_image else 8
    return Reach(size, 100), Reach(size, 2), Reach(64, 2)


@dataclass(frozen=True)
class Trial:
    rows: Named
    expected: Named


def try_out(original: Original, is_image: bool) -> Trial:
    """Run the original on seeded rows, several at once and one alone.

    Raises:
        InputError: it does not run, or does not give a row for a row.
    """
    failure: Exception | None = None
    for reach in reaches(is_image):
        rows = make_rows(original.inputs, reach, is_image)
        try:
            whole, alone = original.run(rows), original.run({name: array[:1] for name, array in rows.items()})
        except Exception as error:  # TensorFlow and ONNX Runtime have many kinds
            failure = failure or error
            continue
        for count, outputs in ((ROWS, whole), (1, alone)):
            _check_rows(outputs, count)
        return Trial(rows, whole)
    takes = ", ".join(f"{spec.name} {show(spec.shape)} {spec.dtype}" for spec in original.inputs)
    raise InputError(
        f"the model does not run on rows of its own signature ({takes}): {first_line(failure) if failure else ''}",
        hint="check that it runs with one row and with several where it was made",
    )


def make_rows(inputs: Sequence[TensorSpec], reach: Reach, is_image: bool) -> Named:
    """Seeded rows: images 0 to 255, numbers from a normal distribution, small whole numbers, words."""
    rng = np.random.default_rng(SEED)
    return {spec.name: _array(rng, spec, reach, is_image) for spec in inputs}


def signature_of(original: Original, trial: Trial) -> Signature:
    """As declared, with what the trial has shown where nothing is declared."""
    is_open = any(None in spec.shape[1:] for spec in original.inputs)
    outputs = []
    for name, array in trial.expected.items():
        declared = original.outputs.get(name)
        shape: list[int | None] = [None]
        for axis, size in enumerate(array.shape[1:], start=1):
            fits = declared is not None and len(declared) == array.ndim
            may_vary = declared[axis] is None if fits and declared is not None else is_open
            shape.append(None if may_vary else size)
        outputs.append(TensorSpec(name=name, dtype=_name_of(array), shape=shape))
    return Signature(inputs=list(original.inputs), outputs=outputs)


def _array(rng: np.random.Generator, spec: TensorSpec, reach: Reach, is_image: bool) -> Array:
    shape = (ROWS, *(reach.size if size is None else size for size in spec.shape[1:]))
    if spec.dtype == "string":
        return rng.choice(np.array(_WORDS, dtype=object), size=shape)
    dtype = np.dtype(spec.dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if is_image or dtype == np.uint8:
        return rng.integers(0, 128 if dtype == np.int8 else 256, shape).astype(dtype)
    if dtype.kind in "iu":
        return rng.integers(0, reach.below, shape).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


def _check_rows(outputs: Named, count: int) -> None:
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != count:
            raise InputError(
                f"output {name!r} has no batch dimension: it has the shape {show(array.shape)} for {count} row(s)",
                hint="a model gives one row for each row that it takes",
                details={"output": name, "shape": list(array.shape), "rows": count},
            )


def _name_of(array: Array) -> str:
    return "string" if array.dtype == object else array.dtype.name
