"""Moves one large file into a store and out again, each in a process of its own, and prints time and peak memory.

    python benchmarks/transfer.py                      # 2 GiB through a folder below the temporary directory
    python benchmarks/transfer.py --size-mib 256 --store s3://bucket/folder

Fails where a process needs more than --limit-mib of resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
MIB = 1024 * 1024
PREFIX = "benchmark/transfer"


def main() -> int:
    """Run every step and print a table; 1 where one of them needed too much memory."""
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        source = Path(scratch) / "source"
        source.mkdir()
        _fill(source / "weights.bin", options.size_mib)
        store = options.store or (Path(scratch) / "bucket").as_uri()
        if options.store is None:
            (Path(scratch) / "bucket").mkdir()
        (Path(scratch) / "files.json").write_text("[]")
        steps = {
            step: _measured(step, store, Path(scratch)) for step in ("hash", "upload", "download", "verify", "remove")
        }
    print(f"{options.size_mib} MiB, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    worst = max(step["peak_mib"] for step in steps.values())
    for name, step in steps.items():
        rate = options.size_mib / step["seconds"] if name != "remove" else 0
        print(f"{name:<9} {step['seconds']:7.2f} s {rate:8.0f} MiB/s   peak {step['peak_mib']:6.1f} MiB")
    print(
        f"peak {worst:.1f} MiB of {options.limit_mib} MiB allowed: {'ok' if worst < options.limit_mib else 'TOO MUCH'}"
    )
    return 0 if worst < options.limit_mib else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=2048)
    parser.add_argument("--limit-mib", type=int, default=256)
    parser.add_argument("--store", help="URL of an empty folder in a store; default: a folder of this machine")
    parser.add_argument("--folder", type=Path, help="where the scratch files go; needs three times the size")
    return parser.parse_args()


def _fill(path: Path, size_mib: int) -> None:
    with path.open("wb") as file:
        for _ in range(size_mib):
            file.write(os.urandom(MIB))


def _measured(step: str, store: str, scratch: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--step", step, store, str(scratch)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def _step(step: str, url: str, scratch: Path) -> None:
    import msgspec

    from skylift.artifacts.records import FileEntry
    from skylift.artifacts.transfer import download_folder, hash_folder, upload_folder, verify_folder
    from skylift.store import open_store

    store = open_store(url)
    notes = scratch / "files.json"
    files = msgspec.json.decode(notes.read_bytes(), type=list[FileEntry])
    begun = time.perf_counter()
    if step == "hash":
        notes.write_bytes(msgspec.json.encode(hash_folder(scratch / "source")))
    elif step == "upload":
        sent = upload_folder(scratch / "source", files, store, PREFIX)
        assert sent == sum(entry.size for entry in files)
    elif step == "download":
        download_folder(store, PREFIX, files, scratch / "back")
    elif step == "verify":
        verify_folder(store, PREFIX, files)
    else:
        store.delete([found.key for found in store.list(PREFIX)])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"seconds": time.perf_counter() - begun, "peak_mib": peak / MIB}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        _step(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        sys.exit(main())
