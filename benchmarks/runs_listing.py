"""Makes many runs in two buckets and lists them, in a new process each time, and prints the seconds.

    python benchmarks/runs_listing.py                  # 10,000 runs in folders below the temporary directory
    python benchmarks/runs_listing.py --runs 1000 --keep s3://bucket/keep --work s3://bucket/work

Fails where a listing takes longer than --limit-s. One run in a hundred has no result, as if its machine had died.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

LISTING = """
import json, sys, time
from skylift.artifacts import runs
from skylift.store import open_store
begun = time.perf_counter()
listed = runs.list_runs(open_store(sys.argv[1]), open_store(sys.argv[2]), limit=int(sys.argv[3]) or None)
print(json.dumps({"seconds": time.perf_counter() - begun, "runs": len(listed)}))
"""


def main() -> int:
    """Fill, index, list; 1 where a listing was too slow."""
    options = _options()
    with tempfile.TemporaryDirectory() as scratch:
        keep, work = (options.keep or _folder(scratch, "keep")), (options.work or _folder(scratch, "work"))
        begun = time.perf_counter()
        _fill(keep, work, options.runs)
        made_s = time.perf_counter() - begun
        before = _listed(keep, work, 0)
        begun = time.perf_counter()
        pages = _index(keep, work)
        indexed_s = time.perf_counter() - begun
        times = [_listed(keep, work, 0) for _ in range(3)]
        short = [_listed(keep, work, 20) for _ in range(3)]
    assert {listed["runs"] for listed in times} == {options.runs}
    slowest = max(listed["seconds"] for listed in times)
    print(f"{options.runs:,} runs, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"making them          {made_s:6.2f} s")
    print(f"listing without pages{before['seconds']:6.2f} s")
    print(f"writing {pages:>3} pages    {indexed_s:6.2f} s")
    print(f"listing all          {slowest:6.2f} s (slowest of 3) of {options.limit_s} s allowed")
    print(f"listing the newest 20{max(listed['seconds'] for listed in short):6.2f} s (slowest of 3)")
    return 0 if slowest < options.limit_s else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--limit-s", type=float, default=2.0)
    parser.add_argument("--keep", help="URL of an empty folder in a store; default: a folder of this machine")
    parser.add_argument("--work", help="the same, for what is short-lived")
    return parser.parse_args()


def _folder(scratch: str, name: str) -> str:
    (Path(scratch) / name).mkdir()
    return (Path(scratch) / name).as_uri()


def _fill(keep_url: str, work_url: str, count: int) -> None:
    from skylift.artifacts import layout, objects
    from skylift.artifacts.records import PublishedModel, RunResult, RunSpec, encode
    from skylift.store import open_store

    keep = open_store(keep_url)
    first = datetime.now(UTC) - timedelta(days=1, seconds=count)

    def make(n: int) -> None:
        asked = first + timedelta(seconds=n)
        run_id = f"{asked:%Y%m%dt%H%M%S}-{n % 0xFFFFFF:06x}"
        spec = RunSpec(
            id=run_id, created=asked, by="ada@example.org", stack="local", target="local", keep=keep_url, work=work_url,
            recipe="mnist", hyperparameters={"epochs": 6, "learning_rate": 0.001}, dataset=f"digits@{n:064x}",
            model="mnist", env={"TF_CPP_MIN_LOG_LEVEL": "2"}, commit=f"{n:040x}", skylift="0.1.0",
        )  # fmt: skip
        keep.put(layout.run_spec(run_id), encode(spec))
        if n % 100 != 50:
            result = RunResult(
                id=run_id, state="succeeded" if n % 10 else "failed", started=asked, ended=asked + timedelta(minutes=2),
                steps=564, epochs=6, metrics={"accuracy": 0.9 + n % 100 / 1000, "loss": 0.1},
                hyperparameters=spec.hyperparameters, model=PublishedModel(name="mnist", digest=f"{n:064x}", version=n + 1),
            )  # fmt: skip
            keep.put(layout.run_result(run_id), encode(result))

    objects.each(make, range(count))


def _index(keep_url: str, work_url: str) -> int:
    from skylift.artifacts import runs
    from skylift.store import open_store

    return runs.write_index(open_store(keep_url), open_store(work_url), margin=timedelta(seconds=-60))


def _listed(keep: str, work: str, limit: int) -> dict[str, float]:
    command = [sys.executable, "-c", LISTING, keep, work, str(limit)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    sys.exit(main())
