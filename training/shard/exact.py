"""Whether a chain answers as the uncut model does."""

from __future__ import annotations

import numpy as np

from training.contract import Array
from training.export.compare import ExportError, Named
from training.shard.chain import Chain
from training.shard.report import ChainParity

TOLERANCE = 1e-6
"""Greatest difference between a chain and the same model uncut: absolute up to outputs of size 1, relative beyond. A cut changes no
arithmetic; what fuses multiplications on one side of it alone may round once more."""
HALF_TOLERANCE = 1e-3
"""The same for outputs of 16 bits."""
FORM_TOLERANCE = 1e-4
"""Between two runtimes: what a stored form may differ by from its model at all."""


def check_chain(chain: Chain, form: str, rows: Named, references: dict[str, Named]) -> list[ChainParity]:
    """Compare a chain with the Keras model and with the model's own published form, all rows at once and one alone.

    Args:
        references: what the uncut model gives, by `keras` and by form.

    Raises:
        ExportError: it differs.
    """
    whole, alone = chain.run(rows), chain.run({name: array[:1] for name, array in rows.items()})
    found = []
    for against, wanted in references.items():
        if against in (form, "keras"):
            is_same = against == form or form != "onnx"
            found.append(_compare(form, against, (whole, alone), wanted, None if is_same else FORM_TOLERANCE))
    return found


def _compare(form: str, against: str, given: tuple[Named, Named], wanted: Named, other: float | None) -> ChainParity:
    worst, allowed_then = 0.0, tolerance_for(next(iter(wanted.values()))) if other is None else other
    for name, expected in wanted.items():
        allowed = (tolerance_for(expected) if other is None else other) * _scale(expected)
        difference = max(_distance(given[0][name], expected), _distance(given[1][name], expected[:1]))
        if not difference <= allowed:
            raise ExportError(
                f"the chain of {form} parts differs from the {against} model by {difference:.2g} in {name!r}, "
                f"more than {allowed:.2g}",
                hint="cut it into other parts (--parts), or serve it whole",
            )
        if difference >= worst:
            worst, allowed_then = difference, allowed
    rows = len(next(iter(wanted.values())))
    return ChainParity(form=form, against=against, max_abs_difference=worst, tolerance=allowed_then, rows=rows)


def tolerance_for(array: Array) -> float:
    if array.dtype.kind not in "f" and array.dtype.name != "bfloat16":
        return 0.0
    return TOLERANCE if array.dtype.itemsize > 2 else HALF_TOLERANCE


def _scale(array: Array) -> float:
    if array.dtype.kind not in "f":
        return 1.0
    finite = np.abs(array[np.isfinite(array)])
    return max(1.0, float(finite.max(initial=0.0)))


def _distance(found: Array, wanted: Array) -> float:
    if found.shape != wanted.shape:
        return float("inf")
    if wanted.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(found, wanted) else float("inf")
    ours, theirs = found.astype(np.float64), wanted.astype(np.float64)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    return float(np.abs(ours[~same] - theirs[~same]).max(initial=0.0))


def check_opened(given: Named, expected: Named, name: str) -> None:
    """Raises ExportError where the layers one behind another do not compute what the model does."""
    for output, wanted in expected.items():
        found = _distance(given[output], wanted)
        if not found <= FORM_TOLERANCE * _scale(wanted):
            raise ExportError(
                f"the layers of {name} one by one differ from the model by {found:.2g}: it computes in other ways than its graph",
                hint="layers that draw random numbers or keep a state while they serve cannot be cut apart",
            )
