"""The two methods that need no learning: int8 and float16, each for ONNX Runtime and for LiteRT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from skylift.artifacts.records import Format, FormatName
from skylift.errors import MachineError
from training.export import formats, tflite
from training.export.causes import explained
from training.export.compare import HALF_TOLERANCE
from training.optimize import onnx_forms
from training.optimize.bench import ROUNDED, Bench, UnfitError, Variant


def int8(bench: Bench) -> Variant:
    """Weights and activations in 8 bits, their ranges measured on rows of the training split.

    Raises:
        UnfitError: neither runtime has such a form of the model.
        InputError: there are no data to calibrate with.
    """
    made = Variant(
        "int8", bench.folder("int8"), {}, {"calibrated_on": f"{bench.calibration().rows} rows of the training split"}
    )

    def for_onnx(folder: Path) -> Format:
        form, count = onnx_forms.int8(bench, folder)
        made.details["onnx_operations"] = count
        return form

    def for_tflite(folder: Path) -> Format:
        return _tflite(bench, folder, ROUNDED, calibration=bench.single_rows)

    return _both(bench, made, {"onnx": for_onnx, "tflite": for_tflite})


def float16(bench: Bench) -> Variant:
    """Weights in 16 bits; ONNX Runtime computes in them too where its operations can.

    Raises:
        UnfitError: neither runtime has such a form of the model.
    """
    made = Variant("float16", bench.folder("float16"), {})

    def for_tflite(folder: Path) -> Format:
        return _tflite(bench, folder, HALF_TOLERANCE, half=True)

    return _both(bench, made, {"onnx": lambda folder: onnx_forms.float16(bench, folder), "tflite": for_tflite})


def _tflite(bench: Bench, folder: Path, least: float, **options: Any) -> Format:
    path = folder / formats.TFLITE
    path.write_bytes(tflite.convert(bench.tf, bench.form("saved_model"), **options))
    return bench.checked(path, tflite.runner(path), least)


def _both(bench: Bench, made: Variant, ways: dict[FormatName, Callable[[Path], Format]]) -> Variant:
    """Each form that can be had; why not for the others."""
    for form, way in ways.items():
        bench.say(formats.SPOKEN[form])
        try:
            made.forms[form] = way(made.folder)
        except (MachineError, OSError):
            raise
        except Exception as error:  # of a converter or a runtime
            for left in made.folder.glob(f"*.{form}"):
                left.unlink()
            why = explained(formats.SPOKEN[form], error)
            made.notes.append(f"no {formats.SPOKEN[form]} form: {why.message}" + (f" ({why.hint})" if why.hint else ""))
    if not made.forms:
        raise UnfitError("; ".join(made.notes), hint="take another method")
    return made
