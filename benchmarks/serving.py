"""How near serving is to the machine's limit, how it fares beside other servers, under too much load and while versions change.

    uv run python benchmarks/serving.py --quick                 # our server alone, about 3 minutes
    uv run python benchmarks/serving.py                         # all, with peers in environments of their own; about an hour
    uv run python benchmarks/serving.py --peers mlserver,litserve --sections servers
    uv run python benchmarks/serving.py --write-docs            # also writes docs/serving-benchmarks.md and .svg

Everything is measured in one run on two CPUs and compared with ONNX Runtime in a loop on the same CPUs. Servers are started in turns,
every cell is measured three times or more, the median counts. Needs wrk for the load (else a slower generator of our own asks). Exit
code 1 if a promise does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # this folder holds `serving.py`, which is not the package `serving`

from benchmarks.serving_bench import machine  # noqa: E402
from benchmarks.serving_bench.page import write  # noqa: E402
from benchmarks.serving_bench.peers.known import PEERS  # noqa: E402
from benchmarks.serving_bench.run import SECTIONS, Plan, run  # noqa: E402

USED_CPUS = 2
SECONDS, QUICK_SECONDS = 8.0, 2.0
ROUNDS = 3


def main() -> int:
    """Measure, print, and perhaps write the page."""
    options = _options()
    os.sched_setaffinity(0, machine.cpus()[:USED_CPUS])  # of all that is started from here too
    plan = Plan(
        cache=options.cache,
        seconds=options.seconds or (QUICK_SECONDS if options.quick else SECONDS),
        rounds=options.rounds,
        sections=options.sections,
        peers=options.peers,
        is_quick=options.quick,
    )
    report = run(plan, say=lambda text: print(text, file=sys.stderr, flush=True))
    print(json.dumps(report.plain(), indent=1) if options.json else report.text())
    if options.write_docs:
        write(report, ROOT / "docs")
    return 0 if report.is_kept() else 1


def _options() -> argparse.Namespace:
    import platformdirs

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="short cells, no peers, no bodies of 100 MB")
    add("--seconds", type=float, help=f"of each cell (default {SECONDS:g}, quick {QUICK_SECONDS:g})")
    add("--rounds", type=int, default=ROUNDS, help=f"of each cell (default {ROUNDS})")
    add("--sections", type=_names(SECTIONS), help=f"some of {','.join(SECTIONS)} (default all)")
    add("--peers", type=_names((*PEERS, "all", "none")), help=f"some of {','.join(PEERS)}; all, none")
    add("--cache", type=Path, default=platformdirs.user_cache_path("skylift") / "benchmarks", help="models and peers")
    add("--json", action="store_true")
    add("--write-docs", action="store_true", help="write docs/serving-benchmarks.md and docs/serving-benchmarks.svg")
    options = parser.parse_args()
    options.sections = options.sections or list(SECTIONS)
    usual = [name for name, peer in PEERS.items() if peer.in_default]
    options.peers = options.peers or (["none"] if options.quick else usual)
    options.peers = list(PEERS) if "all" in options.peers else [name for name in options.peers if name != "none"]
    return options


def _names(known: tuple[str, ...]) -> type[list[str]]:
    def convert(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return convert  # type: ignore[return-value]  # argparse wants any callable


if __name__ == "__main__":
    sys.exit(main())
