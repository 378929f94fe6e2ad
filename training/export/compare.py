"""Whether a stored form computes what the model computes, on the same rows and for every output."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from skylift.artifacts.records import Parity
from skylift.errors import RunFailedError
from training.contract import Array

TOLERANCE = 1e-4
"""Greatest difference, absolute up to outputs of size 1 and relative beyond."""
HALF_TOLERANCE = 1e-2
"""The same for outputs of 16 bits."""

Named = dict[str, Array]
"""Arrays by the name of the input or output, `[rows, …]`."""
Runner = Callable[[Named], Named]


class ExportError(RunFailedError):
    """A form could not be written, or does not compute what the model computes."""

    kind = "export"


def compare(name: str, run: Runner, rows: Named, expected: Named, least: float = 0.0) -> Parity:
    """Compare all rows at once, and one row alone: a form with a fixed batch fails the second.

    Args:
        least: a tolerance above the usual one, for forms that round: absolute up to outputs of size 1 and relative beyond.

    Raises:
        ExportError: other outputs, other shapes or types, or other numbers.
    """
    whole, alone = run(rows), run({key: value[:1] for key, value in rows.items()})
    if set(whole) != set(expected):
        raise ExportError(f"{name} has the outputs {', '.join(whole)}, not {', '.join(expected)}")
    difference, tolerance = 0.0, TOLERANCE
    for output, wanted in expected.items():
        found, allowed = _difference(name, output, whole[output], alone[output], wanted), _tolerance(wanted, least)
        if not found <= allowed:  # NaN is no match either
            raise ExportError(
                f"{name} differs from the model by {found:.2g} on {len(wanted)} rows"
                + (f" in output {output!r}" if len(expected) > 1 else ""),
                hint="build the model from layers that export exactly",
            )
        if found * tolerance > difference * allowed:
            difference, tolerance = found, allowed
    count = len(next(iter(rows.values())))
    return Parity(max_abs_difference=difference, rows=count, tolerance=tolerance, holds=True)


def is_float(array: Array) -> bool:
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"


def _difference(name: str, output: str, whole: Array, alone: Array, wanted: Array) -> float:
    if whole.shape != wanted.shape or alone.shape != wanted[:1].shape:
        raise ExportError(f"{name} gives the shape {whole.shape} for {len(wanted)} rows and {alone.shape} for one")
    if whole.dtype != wanted.dtype:
        raise ExportError(f"{name} gives {output!r} as {whole.dtype}, the model as {wanted.dtype}")
    return max(_distance(whole, wanted), _distance(alone, wanted[:1]))


def _distance(found: Array, wanted: Array) -> float:
    if found.dtype.kind not in "fiub" and not is_float(found):
        return 0.0 if np.array_equal(found, wanted) else float("inf")
    ours, theirs = found.astype(np.float64), wanted.astype(np.float64)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    return float(np.abs(ours[~same] - theirs[~same]).max(initial=0.0))


def _tolerance(wanted: Array, least: float) -> float:
    """Numbers that are no floating-point numbers have no reason to differ."""
    if not is_float(wanted):
        return 0.0
    size = np.abs(wanted.astype(np.float64))
    scale = max(1.0, float(size[np.isfinite(size)].max(initial=0.0)))
    return max(least, TOLERANCE if wanted.dtype.itemsize > 2 else HALF_TOLERANCE) * scale
