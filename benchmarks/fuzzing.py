"""Malformed requests by the million: into the parsers, the connections, gRPC, and a real server by odd clients.

    uv run python benchmarks/fuzzing.py                                 # every target, about 10 minutes
    uv run python benchmarks/fuzzing.py --minutes 240 --seed 7 --json   # longer, other cases
    uv run python benchmarks/fuzzing.py --targets http,grpc             # some targets
    uv run python benchmarks/fuzzing.py --seed 7 --only http:123456     # one case again, as a failure names it
    uv run python benchmarks/fuzzing.py --targets atheris               # by coverage, in an environment of its own

Prints what was tried, answers by status, requests a second and memory before and after. Exit code 1 if anything was found. CI runs the
same targets with the counts of tests/serving/fuzz. docs/serving-fuzzing.md says what is checked.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # this folder holds `serving.py`, which is not the package `serving`

from benchmarks.fuzzing_parts import program  # noqa: E402

MINUTES = 10.0


def main() -> int:
    """Try, and print what came of it."""
    options = _options()
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    if options.only:
        found = program.again(options.only, options.seed)
        print(found or "nothing is wrong with it")
        return 1 if found else 0
    report = program.run(
        options.targets,
        options.seed,
        options.minutes * 60,
        options.cache,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    print(json.dumps(report.plain(), indent=1) if options.json else report.text())
    return 1 if report.failures else 0


def _options() -> argparse.Namespace:
    import platformdirs

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--minutes", type=float, default=MINUTES, help=f"for all targets together (default {MINUTES:g})")
    add("--seed", type=int, default=1, help="decides every case (default 1)")
    add(
        "--targets",
        type=_targets,
        default=list(program.USUAL),
        help=f"some of {', '.join(program.TARGETS)} (default: all but atheris)",
    )
    add("--only", metavar="NAME:NUMBER", help="one case again")
    add("--json", action="store_true", help="print the report as JSON")
    add(
        "--cache",
        type=Path,
        default=Path(platformdirs.user_cache_dir("skylift")) / "fuzzing",
        help="for atheris and its corpus",
    )
    return parser.parse_args()


def _targets(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in program.TARGETS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"there is no target {', '.join(unknown)}: there are {', '.join(program.TARGETS)}"
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
