"""Whether a chain answers as the uncut model does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.contract import Array
from training.export.compare import ExportError, Named, Runner
from training.shard.chain import Chain
from training.shard.report import ChainParity

TOLERANCE = 1e-6
"""Greatest difference between a chain and the same model uncut: absolute up to outputs of size 1, relative beyond. A cut changes no
arithmetic; what fuses multiplications on one side of it alone may round once more."""
HALF_TOLERANCE = 1e-3
"""The same for outputs of 16 bits."""
FORM_TOLERANCE = 1e-4
"""Between two runtimes: what a stored form may differ by from its model at all."""


def check_chain(chain: Chain, form: str, rows: Named, references: Mapping[str, Runner]) -> list[ChainParity]:
    """Compare a chain with the Keras model and with the model's own published form: all rows at once, and one alone.

    Args:
        references: what computes the uncut model, by `keras` and by form.

    Raises:
        ExportError: it differs.
    """
    tried = [rows, {name: array[:1] for name, array in rows.items()}]
    given = [chain.run(each) for each in tried]
    found = []
    for against, run in references.items():
        if against in (form, "keras"):
            is_same = against == form or form != "onnx"
            wanted = [
                run(each) for each in tried
            ]  # one row alone too: of another batch size, the same kernel rounds otherwise
            found.append(_compare(form, against, list(zip(given, wanted, strict=True)), is_same=is_same))
    return found


def _compare(form: str, against: str, pairs: Sequence[tuple[Named, Named]], *, is_same: bool) -> ChainParity:
    worst, limit = 0.0, None
    for given, wanted in pairs:
        for name, expected in wanted.items():
            allowed = (tolerance_for(expected) if is_same else FORM_TOLERANCE) * _scale(expected)
            difference = _distance(given[name], expected)
            if not difference <= allowed:
                raise ExportError(
                    f"the chain of {form} parts differs from the {against} model by {difference:.2g} in {name!r}, "
                    f"more than {allowed:.2g}",
                    hint="cut it into other parts (--parts), or serve it whole",
                )
            if limit is None or difference > worst:
                worst, limit = difference, allowed
    rows = len(next(iter(pairs[0][1].values())))
    return ChainParity(form=form, against=against, max_abs_difference=worst, tolerance=limit or 0.0, rows=rows)


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
