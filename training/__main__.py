"""The program `python -P -m training`. `-P` keeps the folder it is started in off sys.path: a user's `training` shadows nothing."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import sys
from pathlib import Path

import msgspec

from skylift.errors import SkyliftError
from training.data.command import configure as configure_data
from training.explain.command import configure as configure_explain
from training.export.command import configure as configure_export
from training.optimize.command import configure as configure_optimize
from training.scaling.command import configure as configure_scaling
from training.shard.command import configure as configure_shard
from training.trackers.command import configure as configure_track
from training.tune.command import configure as configure_tune

ROOMS: dict[str, str] = {
    "data": "training.data.command",
    "explain": "training.explain.command",
    "export": "training.export.command",
    "optimize": "training.optimize.command",
    "scaling": "training.scaling.command",
    "shard": "training.shard.command",
    "track": "training.trackers.command",
    "tune": "training.tune.command",
}
"""Subcommands whose module has `configure(parser)` and `run(options)`, which gives what to print; imported when it is asked for."""


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "run":
            from training.run.supervise import supervise

            return supervise(options.run)
        if options.command == "attempt":
            from training.run.attempt import attempt

            return attempt(options.run, options.scratch, options.number, options.wire, options.lifeline)
        if options.command == "import":
            return _import(options)
        if options.command == "compare":
            return _compare(options)
        if options.command == "tensorboard":
            return _tensorboard(options)
        if options.command in ROOMS:
            _answer(importlib.import_module(ROOMS[options.command]).run(options))
            return 0
        return _recipes(options)
    except SkyliftError as error:
        if getattr(options, "json", False):
            _answer(json.dumps(error.to_dict(), default=str))
        else:
            print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        return error.exit_code


def _recipes(options: argparse.Namespace) -> int:
    from training.recipes.describing import choose, describe, render

    with contextlib.redirect_stdout(
        sys.stderr
    ):  # what a user's module prints when it is imported is no part of the answer
        recipes = choose(options.name, options.file, options.code_root, options.module)
        described = [describe(recipe) for recipe in recipes]
    one = bool(options.name or options.file or options.code_root)
    _answer(render(described, as_json=options.json, one=one))
    return 0


def _compare(options: argparse.Namespace) -> int:
    from skylift.files import write_whole
    from skylift.store import open_store
    from training.report import comparing

    found = comparing.compare(open_store(options.keep), open_store(options.work), options.runs)
    if options.html is not None:
        write_whole(options.html, [comparing.render(found).encode()])
    rows = comparing.differences(found)
    if options.json:
        _answer(json.dumps({"runs": msgspec.to_builtins(found), "rows": rows}))
    else:
        _answer("\n".join("\t".join((name, *values)) for name, values in rows))
    return 0


def _tensorboard(options: argparse.Namespace) -> int:
    from skylift.store import open_store
    from training.report import boards

    keep, work = open_store(options.keep), open_store(options.work)
    if options.port is not None:
        return boards.serve(keep, work, options.runs, options.logdir, options.port)
    events = boards.write_once(keep, work, options.runs, options.logdir)
    _answer(json.dumps({"logdir": str(options.logdir), "events": events}) if options.json else str(options.logdir))
    return 0


def _import(options: argparse.Namespace) -> int:
    from training.importing.add import add
    from training.importing.meaning import Meaning

    labels = tuple(label.strip() for label in options.labels.split(",")) if options.labels else ()
    with contextlib.redirect_stdout(sys.stderr):  # what TensorFlow and the converter say is no part of the answer
        added = add(options.path, options.keep, options.name, options.by, Meaning(labels, options.unit, options.image))
    model = added.model
    if options.json:
        _answer(json.dumps({"model": msgspec.to_builtins(model), "notes": added.notes}))
    else:
        _answer("\n".join([f"{model.name}:{model.version} ({model.digest[:12]}) is published", *added.notes]))
    return 0


def _answer(text: str) -> None:
    """Print what was asked for; a reader that went away (`| head`) has had enough."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -P -m training", description="Trains what a run.json asks for.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser(
        "run",
        help="do a run from its run.json to its result.json",
        description="Exit codes: 0 succeeded, 9 failed, 75 saved (the same command goes on), 130 cancelled, "
        "5 somebody else is at it or it has ended, 6 or 11 this machine or a bucket failed (the same command goes on).",
    )
    run.add_argument("--run", required=True, metavar="KEEP/runs/ID", help="URL of the run's folder")
    attempt = commands.add_parser("attempt", help=argparse.SUPPRESS)
    attempt.add_argument("--run", required=True)
    attempt.add_argument("--scratch", required=True, type=Path)
    attempt.add_argument("--number", required=True, type=int)
    attempt.add_argument("--wire", required=True, type=int)
    attempt.add_argument("--lifeline", required=True, type=int)
    adding = commands.add_parser("import", help="publish a model that was made elsewhere")
    adding.add_argument("--path", required=True, type=Path, help="a .keras, .h5 or .onnx file, or a SavedModel folder")
    adding.add_argument("--keep", required=True, metavar="URL", help="URL of the keep bucket")
    adding.add_argument("--name", required=True, help="the model of which it becomes the next version")
    adding.add_argument("--by", required=True, metavar="WHO", help="who adds it, for the record")
    adding.add_argument("--labels", default="", metavar="A,B", help="names of the classes, in order")
    adding.add_argument("--unit", default="", help="unit of the value of a regression")
    adding.add_argument("--image", action="store_true", help="the input is an image")
    adding.add_argument("--json", action="store_true")
    configure_optimize(
        commands.add_parser("optimize", help="make smaller and faster forms of a model, and measure them")
    )
    configure_export(commands.add_parser("export", help="write one form of a model to a file"))
    data = commands.add_parser("data", help="prepare datasets, and list sets that packages carry")
    configure_data(data)
    configure_scaling(commands.add_parser("scaling", help="measure how training goes with the number of workers"))
    comparing = commands.add_parser("compare", help="put runs beside each other")
    comparing.add_argument("runs", nargs="+", metavar="RUN", help="ids of runs")
    comparing.add_argument("--keep", required=True, metavar="URL", help="URL of the keep bucket")
    comparing.add_argument("--work", required=True, metavar="URL", help="URL of the work bucket")
    comparing.add_argument("--html", type=Path, help="where to write them as a page with their curves")
    comparing.add_argument("--json", action="store_true")
    configure_explain(commands.add_parser("explain", help="show why a model says what it says"))
    boards = commands.add_parser("tensorboard", help="write runs as TensorBoard reads them, and show them")
    boards.add_argument("runs", nargs="+", metavar="RUN", help="ids of runs")
    boards.add_argument("--keep", required=True, metavar="URL", help="URL of the keep bucket")
    boards.add_argument("--work", required=True, metavar="URL", help="URL of the work bucket")
    boards.add_argument("--logdir", required=True, type=Path, help="folder for its files")
    boards.add_argument("--port", type=int, help="show them there, on this machine only, and bring them up to date")
    boards.add_argument("--json", action="store_true")
    configure_tune(commands.add_parser("tune", help="suggest and judge what a search for hyperparameters tries"))
    configure_track(commands.add_parser("track", help="send runs to MLflow or Weights & Biases"))
    configure_shard(commands.add_parser("shard", help="cut a model into parts that serve as a chain"))
    recipes = commands.add_parser("recipes", help="list the bundled recipes, or describe one")
    recipes.add_argument("name", nargs="?", help="a bundled recipe")
    recipes.add_argument("--file", type=Path, help="a recipe file of yours")
    recipes.add_argument("--code-root", type=Path, help="folder of a recipe package of yours, with --module")
    recipes.add_argument("--module", help="module inside --code-root")
    recipes.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
