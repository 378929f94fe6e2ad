"""`training explain …`: the options, and the answer."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from skylift.errors import InputError, MachineError
from skylift.store import open_store

METHODS = ("auto", "integrated-gradients", "grad-cam", "attention", "permutation", "shap")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("model", help="a model's name, or NAME:VERSION")
    parser.add_argument("--keep", required=True, metavar="URL", help="URL of the keep bucket")
    parser.add_argument("--rows", type=Path, help='a JSON file with one row: {"instances": […]}; none: the whole model')
    parser.add_argument("--truth", default="", help="what the row truly is, for the page")
    parser.add_argument("--class", dest="label", help="the class to explain; default: the predicted one")
    parser.add_argument("--method", action="append", choices=METHODS, help="may be given several times")
    parser.add_argument("--baseline", choices=("auto", "zero", "mean"), default="auto")
    parser.add_argument("--html", type=Path, help="where to write a page")
    parser.add_argument("--png", type=Path, help="where to write a picture")
    parser.add_argument("--top", type=int, default=15, help="how many parts the page names")
    parser.add_argument("--json", action="store_true", help="the answer is JSON in any case")


def run(options: argparse.Namespace) -> str:
    """Explain; what to print."""
    with (
        contextlib.redirect_stdout(sys.stderr),  # what TensorFlow and recipes say is no part of the answer
        tempfile.TemporaryDirectory(prefix="skylift-explain-") as scratch,
    ):
        return json.dumps(_answer(options, Path(scratch)))


def _answer(options: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    from training.explain.explaining import explain
    from training.explain.pages import render
    from training.explain.pictures import png
    from training.published import open_published

    opened = open_published(open_store(options.keep), options.model, scratch)
    rows = None if options.rows is None else _rows(options.rows, opened.task)
    found = explain(opened, rows, methods=options.method or ("auto",), wanted=options.label, against=options.baseline)
    if options.html is not None:
        _write(options.html, render(opened, found, options.truth, options.top).encode())
    if options.png is not None:
        _write(options.png, png(opened.task, found, options.top))
    return {
        "model": found.model,
        "input_kind": opened.task.input_kind,
        "prediction": found.prediction,
        "explained": found.target.to_dict() if found.target else None,
        "truth": options.truth or None,
        "explanations": [
            {**explanation.to_dict(), "shows": method.shows, "shows_not": method.shows_not}
            for method, explanation in found.given
        ],
    }


def _write(path: Path, content: bytes) -> None:
    from skylift.files import write_whole

    try:
        write_whole(path, [content])
    except OSError as error:
        raise MachineError(
            f"{path} cannot be written: {error.strerror or error}", hint="choose another place"
        ) from None


def _rows(path: Path, task: Any) -> dict[str, Any]:
    """The one row by input.

    Raises:
        InputError: it does not fit the inputs.
    """
    try:
        instances = json.loads(path.read_text())["instances"]
        (one,) = instances
        given = one if len(task.inputs) > 1 else {task.inputs[0].name: one}
        rows = {each.name: np.asarray([given[each.name]], each.dtype) for each in task.inputs}
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{path} holds no row for this model: {error}", hint="give one row") from None
    for each in task.inputs:
        shape = rows[each.name].shape[1:]
        if len(shape) != len(each.shape) or any(w not in (None, g) for g, w in zip(shape, each.shape, strict=True)):
            raise InputError(
                f"the row has shape {list(shape)}, input {each.name!r} takes {list(each.shape)}",
                hint="give one row of that shape",
            )
    return rows
