"""`training export`: the options, and what is printed."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

import msgspec

FORMS = ("saved_model", "keras", "onnx", "h5", "tflite")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("model", help="NAME, NAME:VERSION or NAME@DIGEST")
    parser.add_argument("--keep", required=True, metavar="URL", help="URL of the keep bucket")
    parser.add_argument("--format", required=True, choices=FORMS)
    parser.add_argument("--out", required=True, type=Path, help="the file, or the folder of a SavedModel")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> str:
    """Do it; what to print."""
    with contextlib.redirect_stdout(sys.stderr):  # what converters say is no part of the answer
        from training.export.one import export

        made = export(options.keep, options.model, options.format, options.out)
    return msgspec.json.encode(made).decode() if options.json else f"{made.path} is {made.model} as {made.format}"
