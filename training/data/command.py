"""`training data …`: the options, and what is printed. Progress goes to stderr, a JSON list a line, where `--progress` asks for it."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from skylift.errors import InputError

OFTEN = 0.1
"""Least time between two words of progress [s]."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    sources = verbs.add_parser("sources", help="list the sets that installed packages carry")
    sources.add_argument("--json", action="store_true")
    drift = verbs.add_parser("drift", help="compare two versions, column by column")
    drift.add_argument("reference", metavar="NAME@DIGEST")
    drift.add_argument("other", metavar="NAME@DIGEST")
    drift.add_argument("--keep", required=True, metavar="URL", help="URL of the keep bucket")
    drift.add_argument("--json", action="store_true")
    add = verbs.add_parser("add", help="clean, profile, split and publish a dataset")
    add.add_argument("--name", required=True)
    add.add_argument("--source", required=True, help="a path, the URL of any store, or sklearn:NAME and the like")
    add.add_argument("--keep", required=True, metavar="URL", help="URL of the keep bucket")
    add.add_argument(
        "--options", default="{}", metavar="JSON", help="what is asked of it, as fields of training.data.schema.Asked"
    )
    add.add_argument("--delimiter", default=",")
    add.add_argument("--no-header", action="store_true")
    add.add_argument("--runner", default="", help="direct, dataflow, or another of Apache Beam; default: this process")
    add.add_argument("--workers", type=int, default=2, help="processes of the direct runner")
    add.add_argument("--work", metavar="URL", help="a folder of a store that all workers reach")
    add.add_argument(
        "--beam",
        action="append",
        default=[],
        metavar="OPTION",
        help="an option of Beam's own: --beam=--region=REGION",
    )
    add.add_argument("--progress", action="store_true")
    add.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> str:
    """Do it; what to print."""
    if options.verb == "sources":
        from training.data import packaged

        found = packaged.listed()
        return json.dumps(found) if options.json else "\n".join(f"{each['name']:<32} {each['about']}" for each in found)
    if options.verb == "drift":
        return _drift(options)
    with contextlib.redirect_stdout(sys.stderr):  # what libraries say is no part of the answer
        added = _add(options)
    return json.dumps(added.to_dict()) if options.json else f"{added.ref} is published"


def _drift(options: argparse.Namespace) -> str:
    from skylift.store import open_store
    from training.data import drift

    with tempfile.TemporaryDirectory(prefix="skylift-drift-") as scratch:
        found = drift.of_versions(open_store(options.keep), options.reference, options.other, Path(scratch))
    if options.json:
        return json.dumps([msgspec.to_builtins(each) | {"has_moved": each.has_moved} for each in found])
    return "\n".join(f"{each.psi:.4f}  {each.limit:.4f}  {each.column} ({each.measure})" for each in found)


def _add(options: argparse.Namespace) -> Any:
    from training.data.adding import Order, add
    from training.data.chunks import Reading
    from training.data.schema import Asked

    try:
        asked = msgspec.json.decode(options.options, type=Asked, strict=True)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise InputError(f"--options: {error}", hint="see training.data.schema.Asked") from None
    tell = Tell(quiet=not options.progress)
    runner = None
    if options.runner:
        from training.data.beam import Beam

        runner = Beam(options.runner, options.workers, options.beam, tell)
        runner.check_places(options.source, options.work)
    reading = Reading(delimiter=options.delimiter, has_header=not options.no_header)
    return add(Order(options.name, options.source, options.keep, asked, reading, options.work, runner), tell)


class Tell:
    """Writes progress for whoever started the program."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._last = ("", 0.0)

    def __call__(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        if self._quiet or (text == self._last[0] and now - self._last[1] < OFTEN and done < total):
            return
        self._last = (text, now)
        print(json.dumps([done, total, text]), file=sys.stderr, flush=True)
