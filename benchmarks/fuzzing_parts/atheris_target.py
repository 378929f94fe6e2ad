"""The parsers' targets by coverage (https://github.com/google/atheris), in an environment of its own under the cache folder.

The corpus is kept there: a second run begins where the first ended.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fuzzing_parts.parsers import TARGETS

ROOT = Path(__file__).resolve().parents[2]
VERSION = "3.0.0"
_RUNS = re.compile(r"^Done (\d+) runs", re.MULTILINE)
_LEAST_SECONDS = 5


@dataclass
class Covered:
    counts: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def run(cache: Path, seed: int, seconds: float) -> Covered:
    """Every target for its share of the time. What fails is kept under the cache folder."""
    python = _environment(cache)
    done = Covered()
    whole = sum(target.weight for target in TARGETS.values())
    for name, target in TARGETS.items():
        corpus = cache / "corpus" / name
        corpus.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(target.seeds):
            (corpus / f"seed-{number}").write_bytes(data)
        most = max(_LEAST_SECONDS, int(seconds * target.weight / whole))
        limits = [f"-max_total_time={most}", f"-seed={seed}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=65536"]
        found = cache / "found" / name
        found.mkdir(parents=True, exist_ok=True)
        _one(done, name, [str(python), "-m", __name__, name, *limits, f"-artifact_prefix={found}/", str(corpus)], most)
    return done


def _one(done: Covered, name: str, command: Sequence[str], seconds: float) -> None:
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=seconds + 300)
    runs = _RUNS.search(ended.stderr)
    done.counts[name] = int(runs[1]) if runs else 0
    if ended.returncode or not runs:
        done.failures.append(f"atheris {name}: exit code {ended.returncode}: {(ended.stdout + ended.stderr)[-2500:]}")


def _environment(cache: Path) -> Path:
    """A Python with atheris, which sees the packages of this one."""
    folder = cache / "env"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", f"atheris=={VERSION}"], check=True)
        (folder / "ready").touch()
    ours = Path(sysconfig.get_paths()["purelib"])
    theirs = next(folder.glob("lib/python*/site-packages"))
    (theirs / "skylift-fuzzing.pth").write_text(f"{ours}\n{ROOT}\n")
    return python


def main(arguments: Sequence[str]) -> None:
    """In the other environment: `NAME`, then libFuzzer's own options."""
    import numpy as np

    atheris: Any = importlib.import_module("atheris")  # not there where types are checked
    np.seterr(over="ignore")  # as a worker has it
    with atheris.instrument_imports(include=["serving"]):
        for name in [name for name in sys.modules if name.startswith(("serving", "benchmarks.fuzzing_parts"))]:
            del sys.modules[name]
        from benchmarks.fuzzing_parts.parsers import TARGETS as INSTRUMENTED
    atheris.Setup([sys.argv[0], *arguments[1:]], INSTRUMENTED[arguments[0]].read)
    began = time.monotonic()
    try:
        atheris.Fuzz()
    finally:
        print(f"{time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
