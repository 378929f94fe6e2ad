"""`training optimize`: the options, and what is printed. Progress goes to stderr, a JSON list a line, where `--progress` asks for it."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from pathlib import Path

import msgspec


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("model", help="NAME, NAME:VERSION or NAME@DIGEST")
    parser.add_argument("--keep", required=True, metavar="URL", help="URL of the keep bucket")
    parser.add_argument("--by", required=True, metavar="WHO", help="who asks, for the record")
    parser.add_argument("--method", action="append", default=[], help="one way to try; default: all that fit")
    parser.add_argument(
        "--max-loss", type=float, default=0.01, help="points of accuracy, or relative growth of an error"
    )
    parser.add_argument("--sparsity", type=float, help="share of weights or channels that goes")
    parser.add_argument("--epochs", type=int, default=2, help="of fine-tuning")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--publish", default="none", help="a method, best or none")
    parser.add_argument("--html", type=Path, help="where to write the table as a page")
    parser.add_argument("--progress", action="store_true")
    parser.add_argument("--json", action="store_true")


def run(options: argparse.Namespace) -> str:
    """Do it; what to print."""
    with contextlib.redirect_stdout(sys.stderr):  # what converters say is no part of the answer
        from skylift.files import write_whole
        from skylift.store import open_store
        from training.optimize.bench import Asked
        from training.optimize.optimizing import Order, optimize
        from training.optimize.page import render

        def tell(done: int, total: int, text: str) -> None:
            if options.progress:
                print(json.dumps([done, total, text]), file=sys.stderr, flush=True)

        order = Order(
            model=options.model,
            by=options.by,
            methods=options.method,
            max_loss=options.max_loss,
            publish=options.publish,
            asked=Asked(epochs=options.epochs, sparsity=options.sparsity, seed=options.seed),
        )
        with tempfile.TemporaryDirectory(prefix="skylift-optimize-") as scratch:
            result = optimize(open_store(options.keep), order, Path(scratch), tell)
        if options.html is not None:
            write_whole(options.html, [render(result).encode()])
    return msgspec.json.encode(result).decode() if options.json else result.choice.text
