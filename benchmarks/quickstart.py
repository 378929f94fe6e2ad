"""How long the whole path takes: `skylift quickstart` in an empty folder, then once more in the same.

    uv run python benchmarks/quickstart.py

The engine and all packages must be there already. Prints both times and their ratio; exit code 1 above 90 s or 30 s.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FIRST_LIMIT, SECOND_LIMIT = 90.0, 30.0


def skylift(folder: Path, *arguments: str) -> tuple[float, Any]:
    """Run the command; its seconds and what it printed as JSON."""
    begun = time.perf_counter()
    command = [sys.executable, "-P", "-m", "skylift.cli", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    spent = time.perf_counter() - begun
    if done.returncode != 0:
        raise SystemExit(f"skylift {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return spent, json.loads(done.stdout)


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["PULUMI_HOME"] = f"{scratch}/home"
        try:
            first, found = skylift(folder, "quickstart")
            second, _ = skylift(folder, "quickstart")
        finally:
            skylift(folder, "down", "local", "--yes", "--delete-data")
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    label, probability = found["prediction"]["label"], found["prediction"]["probability"]
    print(
        f"quickstart        {first:6.1f} s   limit {FIRST_LIMIT:.0f}   predicted {label} ({probability:.1%}), in truth {found['truth']}"
    )
    print(f"quickstart again  {second:6.1f} s   limit {SECOND_LIMIT:.0f}   {second / first:.2f} times the first")
    return 0 if first <= FIRST_LIMIT and second <= SECOND_LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
