"""`training scaling`: measures 1 to N workers on this machine and predicts more."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from skylift.errors import InputError
from training.scaling.records import Order, Report

Tell = Callable[[int, int, str], None]
MOST = 64


def configure(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("recipe", nargs="?", help="a bundled recipe, or a module in --code-root")
    parser.add_argument("--code-root", help="folder of a recipe of yours")
    parser.add_argument("--hyperparameters", default="{}", metavar="JSON", help="by their full names")
    parser.add_argument("--data", help="a folder that the recipe's load() gets")
    parser.add_argument("--dataset", metavar="NAME@DIGEST", help="a dataset of --keep instead")
    parser.add_argument("--keep", metavar="URL", help="URL of the keep bucket, for --dataset")
    parser.add_argument("--workers", default="1,2", metavar="1,2,4", help="how many to measure; 1 always is")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--steps", type=int, default=0, help="of each measurement, instead of --seconds")
    parser.add_argument("--gigabits", type=float, default=0.0, help="predict for a network of that bandwidth")
    parser.add_argument("--html", type=Path, help="where to write a page with the pictures")
    parser.add_argument("--progress", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--member", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--lifeline", type=int, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> str:
    """Do it; what to print."""
    with contextlib.redirect_stdout(sys.stderr):  # what recipes and libraries say is no part of the answer
        if options.member is not None:
            from training.scaling.groups import member

            return member(options.member, options.lifeline)
        report = _measure(options)
    if options.html is not None:
        from skylift.files import write_whole
        from training.scaling.page import render

        write_whole(options.html, [render(report).encode()])
    return msgspec.json.encode(report).decode() if options.json else _text(report)


def counts_of(text: str) -> list[int]:
    """The numbers of workers, 1 among them.

    Raises:
        InputError: they are none.
    """
    parts = [each.strip() for each in text.split(",") if each.strip()]
    wrong = [each for each in parts if not each.isdecimal() or not 1 <= int(each) <= MOST]
    if wrong or not parts:
        raise InputError(
            f"--workers {text}: {', '.join(wrong) or 'nothing'} is no number of workers",
            hint=f"give whole numbers from 1 to {MOST}, such as `--workers 1,2,4`",
        )
    return sorted({1, *map(int, parts)})


def _measure(options: argparse.Namespace) -> Report:
    from training.scaling.groups import run_group
    from training.scaling.reporting import report

    if not options.recipe:
        raise InputError("no recipe is named", hint="`skylift recipes` lists them")
    if options.seconds <= 0 or options.steps < 0 or options.gigabits < 0:
        raise InputError("a length or bandwidth is not above zero", hint="give --seconds 5, or --steps 300")
    counts = counts_of(options.workers)
    tell: Tell = _tell if options.progress else _silent
    with _data(options) as folder:
        order = Order(
            recipe=options.recipe,
            code_root=options.code_root,
            hyperparameters=json.loads(options.hyperparameters),
            data=folder,
            seconds=options.seconds,
            steps=options.steps,
        )
        found = []
        for number, workers in enumerate(counts):
            tell(number, len(counts), f"measuring {workers} worker{'s' * (workers > 1)}")
            found.append(run_group(order, workers))
        tell(len(counts), len(counts), "measured")
    return report(order, found, options.gigabits)


@contextlib.contextmanager
def _data(options: argparse.Namespace) -> Iterator[str | None]:
    if not options.dataset:
        yield options.data
        return
    from skylift.artifacts import datasets
    from skylift.store import open_store

    with tempfile.TemporaryDirectory(prefix="skylift-scaling-data-") as folder:
        datasets.fetch(open_store(options.keep), options.dataset, Path(folder))
        yield folder


def _text(report: Report) -> str:
    lines = [
        f"{each.workers}\t{each.kind}\t{each.batch}\t{each.rows_per_s or 0:.0f}\t{each.apart:.0f}"
        for each in report.points
    ]
    return "\n".join([report.machine, *lines, *report.notes])


def _tell(done: int, total: int, text: str) -> None:
    print(json.dumps([done, total, text]), file=sys.stderr, flush=True)


def _silent(done: int, total: int, text: str) -> None:
    return
