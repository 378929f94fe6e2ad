"""What is known of each form in the end, and which one to take."""

from __future__ import annotations

from collections.abc import Sequence

from skylift.artifacts.optimized import Choice, Form
from skylift.artifacts.records import FormatName

WORTH = 0.9
"""A form is worth the change when the mean of its size and its time, as shares of the original's, is below this."""

SLOWER = 1.1
"""No form is taken for an endpoint that is slower than the original times this; a smaller share is within what repeats."""

RUNTIMES: dict[FormatName, str] = {"onnx": "ONNX Runtime", "tflite": "LiteRT", "saved_model": "TensorFlow"}

ORIGINAL = "original"


def choose(rows: Sequence[Form], metric: str) -> Choice:
    """The form that an endpoint should serve: of those that lose little enough and are not slower, the one that saves most.

    Size and time at batch 1 count alike, each as a share of the original's in the same runtime.
    """
    kept = [row for row in rows if row.verdict == "accepted"]
    originals = {row.runtime: row for row in rows if row.method == ORIGINAL}
    served = [row for row in kept if row.format != "tflite" and row.runtime in originals]
    said = _for_devices(kept, originals)
    if not served:
        unjudged = any(row.verdict == "unjudged" for row in rows)
        why = "no loss could be measured" if unjudged else "no form that an endpoint can serve loses little enough"
        return Choice(method=None, text=f"Keep the original: {why}.{said}")
    fast = [row for row in served if row.ms_batch_1 <= SLOWER * originals[row.runtime].ms_batch_1]
    best = min(fast or served, key=lambda row: _share(row, originals[row.runtime]))
    original = originals[best.runtime]
    figures = f"{_sized(best, original)}, {_timed(best, original)}, {metric} {best.value:.4g} ({_lost(best)})"
    if not fast:
        return Choice(method=None, text=f"Keep the original: all others are slower; {best.method} has {figures}.{said}")
    if _share(best, original) > WORTH:
        return Choice(
            method=None, text=f"Keep the original: the best of the others, {best.method}, has {figures}.{said}"
        )
    return Choice(method=best.method, text=f"Take {best.method} for an endpoint: {figures}.{said}")


def _share(row: Form, original: Form) -> float:
    return (row.bytes / original.bytes + row.ms_batch_1 / original.ms_batch_1) / 2


def _for_devices(kept: Sequence[Form], originals: dict[str, Form]) -> str:
    """A sentence on the smallest file for phones and small machines, if there is one."""
    small = min((row for row in kept if row.format == "tflite"), key=lambda row: row.bytes, default=None)
    original = originals.get("LiteRT")
    if small is None or original is None:
        return ""
    return f" For phones and small devices: the TFLite file of {small.method}, {_sized(small, original)}, {_timed(small, original)}."


def _sized(row: Form, original: Form) -> str:
    return f"{row.bytes / original.bytes:.0%} of the size"


def _timed(row: Form, original: Form) -> str:
    share = row.ms_batch_1 / original.ms_batch_1
    return f"{share:.2g} times the time at batch 1"


def _lost(row: Form) -> str:
    assert row.loss is not None
    return "nothing lost" if row.loss <= 0 else f"{row.loss:.2g} lost"
