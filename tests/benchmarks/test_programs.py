"""The programs behind the README's figures run, and hold with less what they promise with much."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_file_larger_than_the_memory_allowed_moves(tmp_path: Path) -> None:
    said = run("transfer.py", "--size-mib", "192", "--limit-mib", "170", "--folder", str(tmp_path))
    assert "192 MiB" in said and said.rstrip().endswith("ok")


def test_listing_goes_through_pages() -> None:
    said = run("runs_listing.py", "--runs", "1500")
    assert "writing   3 pages" in said
