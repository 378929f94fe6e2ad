"""Compares an `up` of a local stack without changes with a bare `pulumi up` of the same stack, in the same run.

    python benchmarks/up.py                # five rounds; fails where the ratio of the medians is above 1.5
    python benchmarks/up.py --rounds 9 --limit 1.3

Each is a process of its own, started anew: bare `pulumi`, Engine.up from Python, and the command `skylift up`.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
STACK = "config:\n  skylift:target: local\n  skylift:endpoints:\n    default: {port: 0}\n"
LIBRARY = (
    "from skylift.engine import Engine; from skylift.stack.project import Project;"
    "assert not Engine(Project.find(), 'local').up().changed"
)


def main() -> int:
    """Measure and print; 1 where the limit is exceeded."""
    from skylift.engine import Engine, environment
    from skylift.stack.project import Project

    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["PULUMI_HOME"] = f"{scratch}/home"
        root = Path(scratch) / "project"
        (root / "stacks").mkdir(parents=True)
        for name in ("Pulumi.yaml", "__main__.py"):
            shutil.copyfile(ROOT / name, root / name)
        (root / "stacks" / "Pulumi.local.yaml").write_text(STACK)
        engine = Engine(Project(root), "local")
        engine.up()
        try:
            shell = {**os.environ, **environment(Project(root), "local")}
            times = _measure(root, shell, options.rounds)
        finally:
            engine.destroy()
    return _report(times, options.limit)


def _measure(root: Path, shell: dict[str, str], rounds: int) -> dict[str, list[float]]:
    commands = {
        "pulumi up": ["pulumi", "up", "--yes", "--skip-preview", "--stack", "local"],
        "Engine.up": [sys.executable, "-c", LIBRARY],
        "skylift up": [sys.executable, "-P", "-m", "skylift.cli", "up", "local", "--yes"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):  # the first round warms the disk's cache and does not count
        for name, command in commands.items():
            begun = time.perf_counter()
            done = subprocess.run(command, cwd=root, env=shell, capture_output=True, text=True)
            spent = time.perf_counter() - begun
            if done.returncode != 0:
                raise SystemExit(f"{name} failed:\n{done.stdout}{done.stderr}")
            if number:
                times[name].append(spent)
    return times


def _report(times: dict[str, list[float]], limit: float) -> int:
    bare = statistics.median(times["pulumi up"])
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    for name, measured in times.items():
        median = statistics.median(measured)
        spread = f"{min(measured):.2f} to {max(measured):.2f}"
        print(f"{name:12} {median:6.2f} s   ({spread})   {median / bare:.2f} times a bare `pulumi up`")
    worst = max(statistics.median(measured) for measured in times.values()) / bare
    return 0 if worst <= limit else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=1.5)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
