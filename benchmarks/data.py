"""Prepares a generated table in a process of its own, and prints time, rate and peak memory: the set grows, the memory does not.

    python benchmarks/data.py                          # 2 GB of CSV, and a tenth of it beside
    python benchmarks/data.py --size-gb 10 --format parquet
    python benchmarks/data.py --runner direct --workers 2

Fails where a process needs more than --limit-mib of resident memory. With --runner the workers' memory counts, too.
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
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
MIB = 1024 * 1024
COLUMNS = 12
ROWS_AT_ONCE = 50_000


def main() -> int:
    """Prepare both sizes and compare; 1 where memory was too much."""
    options = _options()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {options.format}")
    worst = 0.0
    for size in (options.size_gb / 10, options.size_gb):
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            made = _generate(Path(scratch), size * 1e9, options.format)
            done = _prepare(Path(scratch), options)
        worst = max(worst, done["peak_mib"])
        print(
            f"{made / 1e9:6.2f} GB {done['rows']:>11,} rows {done['seconds']:8.1f} s "
            f"{made / MIB / done['seconds']:6.1f} MiB/s   peak {done['peak_mib']:6.1f} MiB",
            flush=True,
        )
    print(
        f"peak {worst:.0f} MiB of {options.limit_mib} MiB allowed: {'ok' if worst < options.limit_mib else 'TOO MUCH'}"
    )
    return 0 if worst < options.limit_mib else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-gb", type=float, default=2.0)
    parser.add_argument("--format", choices=("csv", "parquet", "npz"), default="csv")
    parser.add_argument("--limit-mib", type=int, default=1024)
    parser.add_argument("--runner", default="", help="direct: Apache Beam on this machine")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the scratch files go; needs three times the size")
    return parser.parse_args()


def _generate(folder: Path, wanted: float, kind: str) -> int:
    """A table of numbers, a category, missing cells, outliers and 1 % of copies; its bytes."""
    import numpy as np

    rng = np.random.default_rng(0)
    source = folder / "source"
    source.mkdir()
    size = number = 0
    while size < wanted:
        values = rng.normal(size=(ROWS_AT_ONCE, COLUMNS)).astype(np.float32)
        values[rng.random(values.shape) < 0.01] = np.nan
        values[rng.random(values.shape) < 0.0005] *= 1000
        values[-ROWS_AT_ONCE // 100 :] = values[: ROWS_AT_ONCE // 100]
        label = rng.integers(0, 5, ROWS_AT_ONCE)
        size += _write(source, number, kind, values, label)
        number += 1
    return size


def _write(source: Path, number: int, kind: str, values: object, label: object) -> int:
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as arrow_csv
    import pyarrow.parquet as pq

    assert isinstance(values, np.ndarray) and isinstance(label, np.ndarray)
    if kind == "npz":
        path = source / f"part-{number:05d}.npz"
        np.savez(path, allow_pickle=False, x=values, label=label)
        return path.stat().st_size
    columns = {f"c{index}": pa.array(values[:, index], from_pandas=True) for index in range(COLUMNS)}
    town = pa.array(np.array(["Rome", "Oslo", "Lima"])[label % 3])
    table = pa.table({**columns, "town": town, "label": pa.array(label)})
    if kind == "parquet":
        path = source / f"part-{number:05d}.parquet"
        pq.write_table(table, path)
        return path.stat().st_size
    path = source / "table.csv"
    with path.open("ab") as file:
        before = file.tell()
        arrow_csv.write_csv(table, file, arrow_csv.WriteOptions(include_header=number == 0))
        return file.tell() - before


def _prepare(scratch: Path, options: argparse.Namespace) -> dict[str, float]:
    """Run `training data add` and watch the memory of it and of all that it starts."""
    (scratch / "keep").mkdir()
    command = [
        *(sys.executable, "-P", "-m", "training", "data", "add", "--name=generated", "--json"),
        f"--source={scratch / 'source'}",
        f"--keep={(scratch / 'keep').as_uri()}",
        '--options={"target": "label"}',
        *((f"--runner={options.runner}", f"--workers={options.workers}") if options.runner else ()),
    ]
    began = time.monotonic()
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONPATH": str(ROOT)}
    with (scratch / "said").open("w") as said, (scratch / "answer").open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=said, text=True, env=environment)
        peak = _watch(process)
    answer = (scratch / "answer").read_text()
    if process.returncode != 0:
        raise SystemExit(f"{answer}\n{(scratch / 'said').read_text()}")
    rows = json.loads(answer)["description"]["cleaning"]["rows_read"]
    return {"seconds": time.monotonic() - began, "peak_mib": peak / MIB, "rows": rows}


def _watch(process: subprocess.Popen[str]) -> int:
    """The largest resident memory of one process among those that are at work [bytes]."""
    peak = 0
    root = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, *(each.memory_info().rss for each in (root, *root.children(recursive=True))))
        except psutil.Error:
            continue
        time.sleep(0.05)
    return peak


if __name__ == "__main__":
    sys.exit(main())
