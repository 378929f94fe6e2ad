"""`training tune …`: the options, and what is printed."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    suggest = verbs.add_parser("suggest", help="suggest settings to try: JSON lines in, JSON lines out")
    suggest.set_defaults(json=True)
    page = verbs.add_parser("judge", help="say which parameters of a study matter, and draw its page")
    page.add_argument("study")
    page.add_argument("--keep", required=True, metavar="URL", help="URL of the keep bucket")
    page.add_argument("--html", type=Path, help="where to write the page")
    page.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> str:
    """Do it; what to print at the end."""
    return _suggest() if options.verb == "suggest" else _judge(options)


def _suggest() -> str:
    from training.tune.talking import answers

    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as wire, contextlib.redirect_stdout(sys.stderr):
        for answer in answers(sys.stdin.buffer):
            wire.write(json.dumps(answer) + "\n")
            wire.flush()
    return "{}"


def _judge(options: argparse.Namespace) -> str:
    from skylift.artifacts import studies
    from skylift.files import write_whole
    from skylift.store import open_store
    from training.tune.page import render
    from training.tune.talking import Open, opened

    keep = open_store(options.keep)
    study, ended = studies.read(keep, options.study), studies.trials(keep, options.study)
    known = Open(
        metric=study.metric,
        seed=study.base.seed,
        trials=study.trials,
        parallel=1,
        epochs=study.epochs,
        space=study.space,
        ended=ended,
    )
    importance = opened(known).importance()
    if options.html is not None:
        write_whole(options.html, [render(study, ended, importance).encode()])
    if options.json:
        return json.dumps({"importance": importance})
    return "\n".join(f"{name}\t{share:.2f}" for name, share in importance.items())
