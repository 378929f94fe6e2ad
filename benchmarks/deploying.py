"""How long `skylift deploy` takes, and how many requests fail meanwhile, on a real local stack.

    uv run python benchmarks/deploying.py [--switches 10] [--requests 2000]

Brings a stack up, publishes two versions of a small ONNX model, keeps clients asking, and runs the command once per switch. Prints the
seconds from the command's start to the first answer of the new version and to the command's end; exit code 1 if any request failed
or a first answer took more than 3 s.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from quickstart import skylift
from switching import MODEL, Tally, ask, publish, wait

from skylift.store import open_store

LIMIT = 3.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--switches", type=int, default=10)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["PULUMI_HOME"] = f"{scratch}/home"
        skylift(folder, "init", "--port", "0", "--disposable")
        _, up = skylift(folder, "up", "local", "--yes")
        try:
            tally, answered, ended = measure(folder, up["outputs"], options)
        finally:
            skylift(folder, "down", "local", "--yes")
    return report(tally, answered, ended)


def measure(folder: Path, outputs: Any, options: argparse.Namespace) -> tuple[Tally, list[float], list[float]]:
    keep = open_store(outputs["buckets"]["keep"])
    versions = [publish(keep, folder, factor) for factor in (1.0, 2.0)]
    skylift(folder, "deploy", f"{MODEL}:{versions[0].version}")
    port = int(outputs["endpoints"]["default"]["url"].rpartition(":")[2])
    tally, stop = Tally(), threading.Event()
    clients = [threading.Thread(target=ask, args=(port, tally, stop)) for _ in range(options.clients)]
    for client in clients:
        client.start()
    answered, ended = [], []
    try:
        for turn in range(1, options.switches + 1):
            begun = time.monotonic()
            spent, made = skylift(folder, "deploy", f"{MODEL}:{versions[turn % 2].version}")
            wait(lambda number=made["number"]: number in tally.first_answer)
            answered.append(tally.first_answer[made["number"]] - begun)
            ended.append(spent)
            wait(lambda turn=turn: tally.sent >= turn * options.requests / options.switches)
    finally:
        stop.set()
        for client in clients:
            client.join()
    return tally, answered, ended


def report(tally: Tally, answered: list[float], ended: list[float]) -> int:
    failed = sum(tally.problems.values())
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(f"{tally.sent} requests during {len(answered)} switches: {failed} failed {dict(tally.problems) or ''}")
    for name, times in (("first answer of the new version", answered), ("the command's end", ended)):
        print(f"{name:32} {statistics.median(times):.2f} s (median), {max(times):.2f} s (most)   limit {LIMIT:.0f} s")
    return 1 if failed or max(answered) > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
