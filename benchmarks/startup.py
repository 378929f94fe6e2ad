"""Compares the CPU time of `skylift --help` with a bare click program of as many commands, in the same run.

    python benchmarks/startup.py               # 20 rounds; fails above 0.15 s or 1.5 times the bare program
    python benchmarks/startup.py --rounds 40

The bare program declares its commands in one file and does nothing else. Both are started in turn, as processes of their own; what is
compared is the median of user and system time, which other work on the machine disturbs little.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

BARE = """\
import click

@click.group()
@click.version_option("0.1.0")
def cli():
    "A program that does nothing."

for number in range({count}):
    @cli.command(f"command{{number}}", short_help="Do nothing.")
    @click.argument("name", required=False)
    @click.option("--json", is_flag=True, help="Print JSON for machines.")
    def command(name, json):
        "Do nothing."

cli(prog_name="bare")
"""
OURS = "from skylift.cli import main; main()"


def main() -> int:
    """Measure and print; 1 where a limit is exceeded."""
    from skylift.cli._group import COMMANDS

    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        bare = Path(scratch) / "bare.py"
        bare.write_text(BARE.format(count=len(COMMANDS)))
        programs = {"bare click": [sys.executable, str(bare), "--help"]}
        programs |= {"skylift": [sys.executable, "-c", OURS, "--help"]}
        for command in programs.values():
            _cpu(command)  # bytecode is written, files are in memory
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(options.rounds):
            for name, command in programs.items():
                times[name].append(_cpu(command))
    return _report(times, len(COMMANDS), options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--limit", type=float, default=0.15, help="most CPU time of `skylift --help` [s]")
    parser.add_argument("--ratio", type=float, default=1.5, help="most times the bare program")
    return parser.parse_args()


def _cpu(command: list[str]) -> float:
    """CPU time of one process [s]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def _report(times: dict[str, list[float]], count: int, options: argparse.Namespace) -> int:
    print(f"`--help` of {count} commands, Python {platform.python_version()}, {os.cpu_count()} CPUs")
    for name, seconds in times.items():
        print(f"{name:12} median {statistics.median(seconds) * 1000:5.0f} ms CPU   least {min(seconds) * 1000:.0f} ms")
    ours = statistics.median(times["skylift"])
    ratio = ours / statistics.median(times["bare click"])
    held = ours <= options.limit and ratio <= options.ratio
    print(f"ratio        {ratio:.2f} of the medians")
    print("ok" if held else f"above the limit of {options.limit} s or {options.ratio} times")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
