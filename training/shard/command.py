"""`training shard`: the options, and what is printed."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
from pathlib import Path

import msgspec


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("model", help="a published model: NAME or NAME:VERSION")
    parser.add_argument("--keep", required=True, metavar="URL", help="URL of the keep bucket")
    parser.add_argument("--parts", required=True, type=int, metavar="N")
    parser.add_argument("--objective", choices=("time", "memory"), default="time", help="what is balanced")
    parser.add_argument("--bandwidth", type=float, default=10.0, metavar="GBIT/S", help="between two parts")
    parser.add_argument("--by", required=True, metavar="WHO", help="who makes them, for the record")
    parser.add_argument("--name", default="", help="what the parts' names begin with; default: the model's name")
    parser.add_argument("--out", type=Path, help="a new folder to write the parts to, instead of publishing them")
    parser.add_argument("--progress", action="store_true")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> str:
    """Do it; what to print."""
    from skylift.store import open_store
    from training.data.command import Tell
    from training.shard.cuts import Wish
    from training.shard.sharding import Order, shard

    logging.getLogger("tensorflow").setLevel(
        logging.ERROR
    )  # it warns that one function has many copies: each part is one
    wish = Wish(options.parts, options.objective, options.bandwidth)
    order = Order(options.model, wish, options.by, options.name, options.out)
    with contextlib.redirect_stdout(sys.stderr):  # what TensorFlow and the converter say is no part of the answer
        report = shard(open_store(options.keep), order, Tell(quiet=not options.progress))
    if options.json:
        return json.dumps(msgspec.to_builtins(report, str_keys=True))
    return "\n".join(f"{part.name}\t{part.first} to {part.last}\t{part.ms[32]:.3f} ms" for part in report.parts)
